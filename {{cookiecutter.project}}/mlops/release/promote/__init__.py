"""What moves a branch: promotion and rollback."""

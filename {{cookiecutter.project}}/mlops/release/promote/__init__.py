"""Moves the branch of an environment: promotion and rollback."""

"""What answers for a branch: its deployment, laid out, served and followed."""

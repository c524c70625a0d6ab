"""What DVC says: runs and their records, caches and remotes."""

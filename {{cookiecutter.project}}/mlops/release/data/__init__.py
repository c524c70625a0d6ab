"""What DVC stores: runs and their records, caches and remotes."""

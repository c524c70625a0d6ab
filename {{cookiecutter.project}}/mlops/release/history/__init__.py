"""What Git stores: commits, tags, records, versions, and dvc.lock at a revision."""

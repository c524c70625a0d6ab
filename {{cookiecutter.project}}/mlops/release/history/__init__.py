"""What Git says: commits, tags, records, versions, and dvc.lock at a revision."""

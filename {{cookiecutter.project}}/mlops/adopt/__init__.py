"""Declares a stranger's table in params.yaml: finds out how it is written, what its columns are, and asks."""

"""Answers for a branch: prepares what it deployed, serves it, and follows the branch."""

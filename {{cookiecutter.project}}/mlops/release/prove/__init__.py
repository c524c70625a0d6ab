"""Checks that records are true, reproduces commits, and removes what is no longer used."""

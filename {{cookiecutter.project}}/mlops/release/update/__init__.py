"""Brings a newer state of the template into a project."""

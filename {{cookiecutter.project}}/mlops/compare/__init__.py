"""Compares two states of a project: their data, and what their models answer for the same rows."""

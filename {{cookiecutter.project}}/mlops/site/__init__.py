"""Writes what is known about the project as one static site, whose pages need no network."""

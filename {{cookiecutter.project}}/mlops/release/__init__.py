"""Branch to branch: what Git and DVC know of a release. Imports no machine learning."""

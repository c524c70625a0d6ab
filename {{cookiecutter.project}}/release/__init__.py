"""Branch to branch: what Git and DVC know of a release. Knows no machine learning."""

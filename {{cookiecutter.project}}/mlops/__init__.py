"""The machinery: what a project runs on, and its owner seldom has to read."""

"""The stage deploy: `python -m mlops.deploy` writes the bundle that answers."""

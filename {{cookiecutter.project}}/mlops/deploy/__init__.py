"""The stage deploy: `python -m mlops.deploy` writes the bundle, which answers in production."""

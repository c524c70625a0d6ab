"""The stage evaluate: `python -m mlops.evaluate` measures the exported model."""

"""The stage gate: `python -m mlops.gate` compares the metrics with the bounds of the environment."""

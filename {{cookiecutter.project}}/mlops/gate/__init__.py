"""The stage gate: `python -m mlops.gate` holds the metrics against the environment's bounds."""

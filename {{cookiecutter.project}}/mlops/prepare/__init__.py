"""The stage prepare: `python -m mlops.prepare` checks the raw table and splits it."""

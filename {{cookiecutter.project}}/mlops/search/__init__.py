"""Searches the architectures and hyperparameters that give the best model: `mlops search`."""

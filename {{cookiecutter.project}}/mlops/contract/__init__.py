"""Judges rows and bundles: the contract of the columns, their profile in training, and the cost."""

"""Monitors scored rows: whether the inputs have drifted, and how often the model was right."""

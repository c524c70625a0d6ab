"""The stage train: `python -m mlops.train` fits a model and exports it to ONNX."""

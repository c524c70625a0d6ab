"""Where dvc.yaml has what makes a model, and what is made of it: paths that a release knows by name."""

RAW = "data/raw"
TRAINING = "data/prepared/train.parquet"
VALIDATION = "data/prepared/validation.parquet"
TESTING = "data/prepared/test.parquet"
MODEL = "models/model.onnx"
SCHEMA = "models/schema.json"
BUNDLE = "deploy"

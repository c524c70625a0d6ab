"""The paths in dvc.yaml that a release has to know: data, model and bundle."""

RAW = "data/raw"
TRAINING = "data/prepared/train.parquet"
VALIDATION = "data/prepared/validation.parquet"
TESTING = "data/prepared/test.parquet"
MODEL = "models/model.onnx"
SCHEMA = "models/schema.json"
BUNDLE = "deploy"

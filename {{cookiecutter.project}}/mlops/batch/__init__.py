"""Many answers: files of rows in, a database out. It shares predictor and contract with the service."""

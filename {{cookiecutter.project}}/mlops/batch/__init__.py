"""Scores files of rows and stores the predictions, with the predictor and the contract of the service."""

"""Model to many answers: files of rows in, a database out. Shares the predictor with serving."""

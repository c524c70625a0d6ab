"""What became of scored rows: drift of the inputs, and how right the model was."""

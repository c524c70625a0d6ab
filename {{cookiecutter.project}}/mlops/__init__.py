"""The machinery of the project. Its owner rarely has to read it."""

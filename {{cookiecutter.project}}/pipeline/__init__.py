"""Data to model: one module per stage of dvc.yaml, named as the stage. Knows no Git and no DVC."""

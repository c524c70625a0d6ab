"""`python -m mlops.train`: the stage train of dvc.yaml."""

import os

from mlops import stage


def main() -> None:
    # Threads that wait for others would keep a core busy. OpenMP reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from mlops.train import train

    train.main()


if __name__ == "__main__":
    stage.run_stage("train", main)

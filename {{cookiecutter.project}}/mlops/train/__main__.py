"""`python -m mlops.train`: the stage train of dvc.yaml."""

from mlops import stage
from mlops.train import threads


def main() -> None:
    threads.choose_waiting()
    from mlops.train import train

    train.main()


if __name__ == "__main__":
    stage.run_stage("train", main)

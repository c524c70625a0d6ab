"""`python -m mlops.train`: the stage train of dvc.yaml."""

from mlops import stage


def main() -> None:
    from mlops.train import train

    train.main()


if __name__ == "__main__":
    stage.run_stage("train", main)

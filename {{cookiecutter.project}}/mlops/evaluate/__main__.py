"""`python -m mlops.evaluate`: the stage evaluate of dvc.yaml."""

from mlops import stage


def main() -> None:
    from mlops.evaluate import evaluate

    evaluate.main()


if __name__ == "__main__":
    stage.run_stage("evaluate", main)

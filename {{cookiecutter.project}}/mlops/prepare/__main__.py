"""`python -m mlops.prepare`: the stage prepare of dvc.yaml."""

from mlops import stage


def main() -> None:
    from mlops.prepare import prepare

    prepare.main()


if __name__ == "__main__":
    stage.run_stage("prepare", main)

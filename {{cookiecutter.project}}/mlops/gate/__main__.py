"""`python -m mlops.gate`: the stage gate of dvc.yaml."""

from mlops import stage


def main() -> None:
    from mlops.gate import gate

    gate.main()


if __name__ == "__main__":
    stage.run_stage("gate", main)

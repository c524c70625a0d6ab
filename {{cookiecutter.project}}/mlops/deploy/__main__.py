"""`python -m mlops.deploy`: the stage deploy of dvc.yaml."""

from mlops import stage


def main() -> None:
    from mlops.deploy import deploy

    deploy.main()


if __name__ == "__main__":
    stage.run_stage("deploy", main)

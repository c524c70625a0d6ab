"""`python -m mlops.cli` runs the command `mlops`."""

from mlops.cli.app import main

if __name__ == "__main__":
    main()

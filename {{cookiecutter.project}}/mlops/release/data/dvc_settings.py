"""DVC's settings of a working tree, for which a sixth of DVC is loaded."""

from pathlib import Path
from typing import Any

from dvc.config import Config


def read_dvc_settings(home: Path) -> dict[str, Any]:
    """Returns DVC's settings of the working tree `home` with absolute paths, so that its cache is shared."""
    dvc_dir = home / ".dvc"
    config = Config(str(dvc_dir))
    cache = {"dir": str(dvc_dir / "cache"), **config["cache"]}
    return {"core": config["core"], "cache": cache, "remote": config["remote"]}


def cache_folder(home: Path) -> Path:
    return Path(read_dvc_settings(home)["cache"]["dir"])

"""DVC's settings of a working tree, for which a sixth of DVC is loaded."""

from pathlib import Path
from typing import Any

from dvc.config import Config, ConfigError

from mlops.errors import MlopsError

FILE = ".dvc/config"


def read_dvc_settings(home: Path) -> dict[str, Any]:
    """Returns DVC's settings of the working tree `home` with absolute paths, so that its cache is shared."""
    require_settings(home)
    dvc_dir = home / ".dvc"
    try:
        config = Config(str(dvc_dir))
    except ConfigError as error:
        raise unreadable(error) from error
    cache = {"dir": str(dvc_dir / "cache"), **config["cache"]}
    return {"core": config["core"], "cache": cache, "remote": config["remote"]}


def require_settings(home: Path) -> None:
    """Raises MlopsError if a working tree has no settings of DVC, without which it would have no storage."""
    if not (home / FILE).is_file():
        raise MlopsError(
            f"{home / FILE} is missing: bring it back with `git checkout HEAD -- .dvc`"
        )


def unreadable(error: ConfigError) -> MlopsError:
    return MlopsError(
        f"{error}: correct {FILE}, or bring its last committed state back with `git checkout HEAD -- {FILE}`"
    )


def cache_folder(home: Path) -> Path:
    return Path(read_dvc_settings(home)["cache"]["dir"])

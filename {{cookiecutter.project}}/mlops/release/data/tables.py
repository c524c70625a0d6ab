"""Records the raw table of a project in DVC."""

from pathlib import Path

from mlops.errors import Refused
from mlops.release.data import dvc

RAW = "data/raw"


def keep_recorded_table(root: Path) -> None:
    """Puts the table that data/raw.dvc records into the cache, so that the commit that names it keeps its
    data. Raises Refused if data/raw holds files that no commit records."""
    with dvc.open_repo(root) as repo, dvc.quiet_dvc():
        (out,) = (each for each in repo.index.outs if str(each) == RAW)
        if not (out.exists and any(Path(out.fs_path).iterdir())):
            return
        if not out.changed_checksum():
            repo.commit(f"{RAW}.dvc", force=True)
            return
        recorded = {"/".join(key) for key, *_ in out.get_obj() or ()}
        unrecorded = {file.name for file in Path(out.fs_path).iterdir()} - recorded
    if unrecorded:
        raise Refused(
            f"{RAW} holds files that no commit records ({', '.join(sorted(unrecorded))}): name them in the "
            "command too, or move them away"
        )


def record_table(root: Path) -> None:
    """Writes data/raw.dvc for the files that are in data/raw, and puts them into the cache."""
    with dvc.open_repo(root) as repo, dvc.quiet_dvc():
        repo.add(RAW)

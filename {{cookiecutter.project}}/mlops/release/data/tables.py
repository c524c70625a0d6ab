"""Records the raw table of a project in DVC."""

from pathlib import Path

from mlops.errors import Refused
from mlops.release.data import dvc

RAW = "data/raw"


def keep_recorded_table(root: Path) -> None:
    """Puts the table that data/raw.dvc records into the cache, so that the commit that names it keeps its
    data. Raises Refused if data/raw holds files, or contents of files, that no commit records."""
    with dvc.open_repo(root) as repo, dvc.quiet_dvc():
        (out,) = (each for each in repo.index.outs if str(each) == RAW)
        if not (out.exists and any(Path(out.fs_path).iterdir())):
            return
        if not out.changed_checksum():
            repo.commit(f"{RAW}.dvc", force=True)
            return
        changes = repo.data_status([RAW], granular=True)["uncommitted"]
    unrecorded = {
        Path(path).name
        for kind in ("added", "modified", "unknown")
        for path in changes.get(kind, ())
        if not path.endswith("/")
    }
    if unrecorded:
        raise Refused(
            f"{RAW} holds what no commit records ({', '.join(sorted(unrecorded))}): record it (`dvc commit "
            f"{RAW}`, and commit {RAW}.dvc), or move it away"
        )


def record_table(root: Path) -> None:
    """Writes data/raw.dvc for the files that are in data/raw, and puts them into the cache."""
    with dvc.open_repo(root) as repo, dvc.quiet_dvc():
        repo.add(RAW)


def restore_table(root: Path) -> None:
    """Puts the files that data/raw.dvc records into data/raw, and removes others."""
    with dvc.open_repo(root) as repo, dvc.quiet_dvc():
        repo.checkout([f"{RAW}.dvc"], force=True)

"""Arrow imports pandas wherever it is installed: a second and 60 MB, for nothing that is used here."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class WithoutPandas(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("mlops/batch does without pandas", name=fullname)


sys.meta_path.insert(0, WithoutPandas())

"""Makes a virtual environment for each contestant, in a directory where the next run finds it."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    @property
    def megabytes(self) -> float:
        """Returns the size of the installed libraries with bytecode, without the interpreter."""
        files = (file for file in (self.folder / "lib").rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files) / 1e6

    def versions(self, *packages: str) -> str:
        ask = (
            "import sys; from importlib.metadata import version; "
            "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
        )
        return subprocess.check_output([self.python, "-c", ask, *packages], text=True).strip()


def make_environment(parent: Path, name: str, *requirements: str) -> Environment:
    """Returns an environment with the requirements, which are arguments of `pip install`."""
    locks = [Path(word).read_text() for word in requirements if word.endswith(".txt")]
    contents = json.dumps([platform.python_version(), requirements, locks])
    digest = hashlib.sha256(contents.encode()).hexdigest()[:12]
    environment = Environment(parent.resolve() / f"{name}-{digest}")
    finished = environment.folder / "finished"
    if not finished.exists():
        print(f"installing {name}", flush=True)
        shutil.rmtree(environment.folder, ignore_errors=True)
        install(environment, requirements)
        finished.touch()
    return environment


def install(environment: Environment, requirements: tuple[str, ...]) -> None:
    uv("venv", "--python", sys.executable, str(environment.folder))
    python = str(environment.python)
    uv("pip", "install", "--compile-bytecode", "--python", python, *requirements)


def uv(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *words], check=True)

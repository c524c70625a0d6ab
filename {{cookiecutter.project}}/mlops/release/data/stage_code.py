"""Compares the code that a stage runs with its `deps` in dvc.yaml and with what Git tracks.

DVC runs a stage again when one of its dependencies has changed. A module that a stage imports and that
its `deps` do not cover can change, and everything still counts as up to date. A file that Git does not
track changes the hash of a folder of code on this machine alone.

The commands `python FILE` and `python -m MODULE` are examined. Imports are read from the source, wherever
they stand in it; the name of a module in a string counts as one.
"""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dvc.repo import Repo
from dvc.stage import Stage

from mlops.errors import Refused
from mlops.release.history.git import Git

NO_DEPENDENCY = re.compile(
    r"mlops/(__init__|params|stage|libraries|environments)\.py"  # DVC tracks the values that params reads
    r"|mlops/(\w+/)*errors\.py"  # messages, which no output holds
)
"""Modules of the machinery that decide whether a stage runs, and not what it makes."""

MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def refuse_unsound(repo: Repo) -> None:
    """Raises Refused with every finding, before anything runs."""
    if found := list(code_findings(repo)):
        raise Refused(
            "\n- ".join([f"problems to solve before anything runs: {len(found)}", *found])
        )


def code_findings(repo: Repo) -> Iterator[str]:
    """Yields each file of code that dvc.yaml does not list or Git does not track, with a remedy."""
    root, code_of = Path(repo.root_dir), Code(Path(repo.root_dir))
    folders: dict[str, str] = {}
    for stage in repo.index.stages:
        if not stage.cmd:
            continue
        deps = [path_in(root, Path(dep.fs_path)) for dep in stage.deps if dep.protocol == "local"]
        try:
            code = {path_in(root, file) for file in code_of.closure(entry_files(root, stage))}
        except SyntaxError as error:
            where = f"{path_in(root, Path(error.filename or ''))}, line {error.lineno}"
            yield f"{stage.addressing}: {where} is not valid Python ({error.msg}): correct it"
            continue
        for path in sorted(code):
            if not covering_deps(path, deps):
                yield (
                    f"{stage.addressing} runs {path}, which its `deps` in dvc.yaml do not list: add it "
                    "there, since DVC would not notice a change of it"
                )
        for path in code:
            folders |= dict.fromkeys(covering_deps(path, deps), stage.addressing)
    for path in sorted(untracked_in(repo, {*folders})):
        stage_name = folders[covering_deps(path, [*folders])[0]]
        yield (
            f"{path} is code of the stage {stage_name}, and Git does not track it, so that no other clone "
            f"has it: `git add {shlex.quote(path)}`, or remove it"
        )


def path_in(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def covering_deps(path: str, deps: Sequence[str]) -> list[str]:
    """Returns the dependencies that are this file or a folder around it."""
    return [dep for dep in deps if path == dep or path.startswith(f"{dep}/")]


def untracked_in(repo: Repo, code: set[str]) -> set[str]:
    """Returns the files that DVC hashes in these files and folders and that Git does not track."""
    root = Path(repo.root_dir)
    hashed = {
        path_in(root, Path(folder, name))
        for path in code
        if (root / path).is_dir()
        for folder, _, names in repo.dvcignore.walk(repo.fs, str(root / path))
        for name in names
    } | {path for path in code if (root / path).is_file()}
    if not hashed:
        return set()
    return hashed - {*Git(root).run("ls-files", "-z", "--", *sorted(code)).split("\0")}


def entry_files(root: Path, stage: Stage) -> Iterator[Path]:
    """Yields the files that the commands of a stage run."""
    for command in [stage.cmd] if isinstance(stage.cmd, str) else stage.cmd:
        for words in simple_commands(command):
            yield from files_of_command(root, Path(stage.wdir), words)


def simple_commands(command: str) -> Iterator[list[str]]:
    """Yields the words of each command of a line of shell, and nothing for a line that can't be parsed."""
    words: list[str] = []
    try:
        for word in shlex.shlex(command, posix=True, punctuation_chars=True):
            if re.fullmatch(r"[();<>|&]+", word):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:
        return
    yield words


def files_of_command(root: Path, folder: Path, words: Sequence[str]) -> Iterator[Path]:
    """Yields the files that `python -m MODULE` or `python FILE` runs, and none for other commands."""
    pythons = [n for n, word in enumerate(words) if re.fullmatch(r"(.*/)?python[\d.]*", word)]
    rest = list(words[pythons[0] + 1 :]) if pythons else []
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "-m" and rest:
            yield from files_of_module(f"{rest[0]}.__main__", (folder, root))
            return
        if option in ("-X", "-W") and rest:
            rest.pop(0)
    if rest and (folder / rest[0]).is_file():
        yield folder / rest[0]


class Code:
    """The Python files of a working tree, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[Path, list[str] | None] = {}

    def closure(self, entries: Iterable[Path]) -> set[Path]:
        """Returns the files and everything that they import in turn, within the tree. Raises SyntaxError."""
        found, waiting = set[Path](), [*entries]
        while waiting:
            file = waiting.pop()
            if file in found or NO_DEPENDENCY.fullmatch(path_in(self.root, file)):
                continue
            if (names := self.names(file)) is not None:
                found.add(file)
                for name in names:
                    waiting += files_of_module(name, (file.parent, self.root))
        return found

    def names(self, file: Path) -> list[str] | None:
        """Returns the dotted names that a file imports, or None if it holds nothing but a docstring."""
        if file not in self._names:
            tree = ast.parse(file.read_bytes(), str(file))
            self._names[file] = None if is_empty(tree) else [*imported_names(self.root, file, tree)]
        return self._names[file]


def is_empty(tree: ast.Module) -> bool:
    """Returns whether there is nothing in a module but a docstring."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body
    )


def imported_names(root: Path, file: Path, tree: ast.Module) -> Iterator[str]:
    """Yields the dotted names that a module imports or has in a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = file.parents[node.level - 1] if node.level else None
            parts = package.relative_to(root).parts if package else ()
            module = ".".join([*parts, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and MODULE_NAME.fullmatch(str(node.value)):
            yield str(node.value)


def files_of_module(name: str, places: tuple[Path, ...]) -> list[Path]:
    """Returns the files that importing a dotted name reads: its packages and the module.

    The first of the places that has it counts; what follows the module is a name in it.
    """
    for place in places:
        found, folder = [], place
        for part in name.split("."):
            module, package = folder / f"{part}.py", folder / part / "__init__.py"
            folder = folder / part
            found += [each for each in (package, module) if each.is_file()][:1]
            if not folder.is_dir():
                break
        if found:
            return found
    return []

"""Tests that the links of every Markdown file lead somewhere, and that README and docs/ name what the project
has."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

import markdown_pages
from baking import NAME, TEMPLATE, UNBAKED, Run

CALL = re.compile(r"(?:^|&& |=\S+ )mlops ([a-z][a-z-]*)([^#&|;]*)")
OPTION = re.compile(r"--[a-z][a-z-]*")
NAMED = re.compile(r"^[│|] ([a-z-]+) {2,}\S", re.MULTILINE)
OF_PODMAN = {"--env"}
MADE = {"demo", "lesson"}


@pytest.fixture(scope="module")
def options(run: Run, baked: Path) -> Mapping[str, set[str]]:
    """Returns the options of each command of `mlops`."""
    listed = run("mlops", "--help", cwd=baked, COLUMNS="200").stdout.partition("Stages")[2]
    commands = NAMED.findall(listed)
    assert len(commands) > 10
    helps = {
        name: run("mlops", name, "--help", cwd=baked, COLUMNS="200").stdout for name in commands
    }
    return {name: set(OPTION.findall(text)) for name, text in helps.items()}


def markdown_files() -> list[str]:
    names = (path.relative_to(TEMPLATE) for path in sorted(TEMPLATE.rglob("*.md")))
    return [
        str(name)
        for name in names
        if name.parts[0] not in MADE and not name.parts[0].startswith(".")
    ]


@pytest.mark.parametrize("name", markdown_files())
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page = TEMPLATE / name
    root = UNBAKED if page.is_relative_to(UNBAKED) else TEMPLATE
    broken = []
    for link in markdown_pages.links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        exists = target.exists() and target.is_relative_to(root)
        if not exists or (anchor and anchor not in markdown_pages.anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in markdown_pages.links(UNBAKED / "README.md")}
    assert {f"docs/{page.name}" for page in markdown_pages.DOCS.glob("*.md")} - linked == set()


def test_the_readme_is_one_page() -> None:
    assert len((UNBAKED / "README.md").read_text().splitlines()) <= 160


def test_the_documents_name_the_commands_and_options_that_there_are(
    options: Mapping[str, set[str]],
) -> None:
    named = set()
    for page in markdown_pages.pages():
        for line in markdown_pages.code(page):
            for command, rest in CALL.findall(line):
                assert command in options, f"{page.name}: {line}"
                assert set(OPTION.findall(rest)) <= options[command], f"{page.name}: {line}"
                named.add(command)
            if line.startswith("--"):
                known = OF_PODMAN.union(*options.values())
                assert set(OPTION.findall(line)) <= known, f"{page.name}: {line}"
    assert set(options) - named == set()


@pytest.mark.parametrize("root", [TEMPLATE, UNBAKED], ids=["template", "project"])
def test_the_documents_name_targets_that_the_makefile_has(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    project = markdown_pages.pages() if root == UNBAKED else [root / "CONTRIBUTING.md"]
    named = {
        target
        for page in project
        for line in markdown_pages.code(page)
        for target in re.findall(r"(?:^|&& )make ([a-z]+)", line)
    }
    assert named
    assert named - targets == set()


def test_the_page_of_stages_says_what_dvc_yaml_says() -> None:
    stages = yaml.safe_load((UNBAKED / "dvc.yaml").read_text())["stages"]
    rows = {
        cells[0]: cells for cells in markdown_pages.rows(markdown_pages.DOCS / "stages.md", "Stage")
    }
    assert list(rows) == list(stages)
    for name, stage in stages.items():
        commands, _, written = rows[name][1:4]
        cmd = stage["cmd"] if isinstance(stage["cmd"], list) else [stage["cmd"]]
        assert markdown_pages.SPAN.findall(commands) == cmd
        outputs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
        for out in (next(iter(each)) if isinstance(each, dict) else each for each in outputs):
            assert out.rpartition("/")[2] in written.replace("/`", "`"), f"{name}: {out}"


def messages() -> set[str]:
    """Returns the texts of the machinery, with "..." for values that are inserted, and the names of its
    classes.

    Docstrings are left out.
    """
    texts = set()
    for file in (UNBAKED / "mlops").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                texts.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node not in docstrings:
                    texts.add(node.value)
            elif isinstance(node, ast.ClassDef):
                texts.add(node.name)
    return texts


def test_the_messages_that_the_page_of_incidents_explains_are_said() -> None:
    texts = messages()
    table = markdown_pages.rows(markdown_pages.DOCS / "incidents.md", "Message")
    listed = [span for cells in table for span in markdown_pages.SPAN.findall(cells[0])]
    assert len(listed) > 15
    assert [each for each in listed if not any(each in text for text in texts)] == []


def test_each_word_is_explained_once() -> None:
    text = (markdown_pages.DOCS / "words.md").read_text()
    words = re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)
    assert len(words) == len(set(words)) > 30


@pytest.mark.parametrize("name", ["README.md", "LICENSES.md", "LAST.md"])
def test_pages_of_docs_are_copied_and_never_rendered(run: Run, tmp_path: Path, name: str) -> None:
    template = tmp_path / "template"
    (template / UNBAKED.name / "docs").mkdir(parents=True)
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    rules = {"project": NAME, "_copy_without_render": asked["_copy_without_render"]}
    (template / "cookiecutter.json").write_text(json.dumps(rules))
    (template / UNBAKED.name / "docs" / name).write_text("{{ cookiecutter.project }}\n")
    done = run.cookiecutter(tmp_path, template=template)
    assert done.returncode == 0, done.stderr
    copied = tmp_path / NAME / "docs" / name
    assert copied.read_text() == "{{ cookiecutter.project }}\n"

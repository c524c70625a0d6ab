"""Tests `mlops image` with a command in place of an engine, which stores what it is given instead of
building."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from instant_project import copied, promote, set_quality, speak_as_tester
from machinery import PROJECT
from mlops.errors import MlopsError, Refused
from mlops.release.follow import image
from mlops.release.history.git import Git
from mlops.release.places import engines
from tiny_pipeline import git

ENGINE = """\
#!/bin/sh
case "$1" in
    version) echo "{words}" >&2; exit {code} ;;
    build) mkdir "{kept}" && cp -R . "{kept}/context" && printf '%s\\n' "$@" > "{kept}/words" ;;
    image) echo '[{{"Size": 250000000}}]' ;;
esac
"""
RECIPE = "FROM scratch\n"


class Engine:
    """A command in place of `docker` or `podman` on PATH, and what it was given to build."""

    def __init__(self, place: Path) -> None:
        self.programs = place / "programs"
        self.kept = place / "kept"
        self.programs.mkdir()

    def install(self, name: str, words: str = "", code: int = 0) -> None:
        program = self.programs / name
        program.write_text(ENGINE.format(kept=self.kept, words=words, code=code))
        program.chmod(0o755)

    @property
    def words(self) -> list[str]:
        return (self.kept / "words").read_text().splitlines()

    @property
    def labels(self) -> dict[str, str]:
        given = [after for word, after in zip(self.words, self.words[1:], strict=False)
                 if word == "--label"]  # fmt: skip
        return dict(label.split("=", 1) for label in given)

    @property
    def context(self) -> dict[str, str]:
        files = (self.kept / "context").rglob("*")
        context = self.kept / "context"
        return {
            str(file.relative_to(context)): file.read_text() for file in files if file.is_file()
        }


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """No engine is installed: PATH has only what a release needs."""
    engine = Engine(tmp_path)
    for name in ("git", "sh", "cp", "mkdir"):
        (engine.programs / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(engine.programs))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    return engine


@pytest.fixture(scope="module")
def once_released(promoted_to_staging: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        speak_as_tester(monkeypatch)
        project = copied(promoted_to_staging, tmp_path_factory.mktemp("released") / "copy")
        (project / image.RECIPE).parent.mkdir()
        (project / image.RECIPE).write_text(RECIPE)
        set_quality(project, 0.95)
        promote(project, "staging", "prod")
        return project


@pytest.fixture
def released(once_released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with v1.0.0 in staging without a Dockerfile, and v1.1.0 in staging and prod with one; dev is
    checked out."""
    speak_as_tester(monkeypatch)
    return copied(once_released, tmp_path / "copy")


def build(project: Path, revision: str = "prod", name: str | None = None) -> image.Image:
    return image.build_image(Git(project), revision, lambda line: None, name)


def test_the_engine_sees_what_the_release_consists_of_and_nothing_else(
    released: Path, engine: Engine
) -> None:
    engine.install("podman")
    (released / "mlops/contract/measure.py").write_text("changed, and not committed\n")
    (released / "mlops/contract/new.py").write_text("not committed\n")
    (released / image.RECIPE).unlink()
    made = build(released)
    assert made == image.Image("project:v1.1.0", "podman", 250)
    assert engine.context.keys() == {
        "container/Dockerfile", "release.json", "requirements/serve.txt",
        "mlops/__init__.py", "mlops/errors.py", "mlops/log_stream.py", "mlops/predict/__init__.py",
        "mlops/contract/measure.py", "mlops/service/__init__.py",
        "science/__init__.py", "science/features.py",
        "deploy/manifest.json", "deploy/model.onnx", "deploy/schema.json",
    }  # fmt: skip
    assert engine.context[image.RECIPE] == RECIPE
    assert engine.context["deploy/model.onnx"] == "quality: 0.95\n"
    assert engine.context["mlops/contract/measure.py"] == git(
        released, "show", "prod:mlops/contract/measure.py"
    )


def test_labels_say_where_it_comes_from(released: Path, engine: Engine) -> None:
    engine.install("podman")
    build(released)
    release = json.loads(engine.context["release.json"])
    assert engine.labels == {
        "org.opencontainers.image.title": "project",
        "org.opencontainers.image.version": "v1.1.0",
        "org.opencontainers.image.revision": git(released, "rev-parse", "prod").strip(),
        "org.opencontainers.image.created": release["released"],
        "mlops.record": "prod/0001",
        "mlops.bundle": release["bundle"],
        "mlops.model": release["files"]["model.onnx"],
    }


@pytest.mark.parametrize(
    ("revision", "record"), [("v1.1.0", "prod/0001"), ("staging", "staging/0002")]
)
def test_a_version_or_an_environment(
    released: Path, engine: Engine, revision: str, record: str
) -> None:
    engine.install("podman")
    assert build(released, revision, "registry/team/income:1").name == "registry/team/income:1"
    assert engine.labels["mlops.record"] == record


def test_what_is_no_release_is_refused(released: Path, engine: Engine) -> None:
    engine.install("podman")
    with pytest.raises(Refused, match=r"dev \(\w{7}\) is not a release"):
        build(released, "dev")
    assert not engine.kept.exists()


def test_a_version_without_a_recipe_is_named(released: Path, engine: Engine) -> None:
    engine.install("podman")
    with pytest.raises(MlopsError, match=r"v1\.0\.0 was released without a container/Dockerfile"):
        build(released, "v1.0.0")


def test_no_engine(released: Path, engine: Engine) -> None:
    words = "docker is not on PATH; podman is not on PATH.*apt-get install podman"
    with pytest.raises(MlopsError, match=words):
        build(released)


def test_docker_comes_first_and_is_passed_over_where_it_does_not_answer(engine: Engine) -> None:
    engine.install("podman")
    engine.install("docker")
    assert engines.engine_at_hand() == "docker"
    engine.install("docker", "is the daemon running?", 1)
    assert engines.engine_at_hand() == "podman"
    engine.install("podman", "no space", 125)
    with pytest.raises(MlopsError, match=r"docker .* the daemon running\?; podman .* no space"):
        engines.engine_at_hand()


def test_what_the_engine_says_is_told_when_it_fails(released: Path, engine: Engine) -> None:
    engine.install("docker")
    engine.kept.mkdir()
    with pytest.raises(MlopsError, match=r"docker could not build project:v1\.1\.0.*\n.*exists"):
        build(released)


def test_pips_settings_are_a_secret_of_the_build(
    released: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.install("docker")
    settings = released.parent / "pip.conf"
    settings.write_text("[global]\nindex-url = https://name:word@example.org/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    build(released)
    assert f"id=pip,src={settings}" in engine.words
    assert not any("name:word" in text for text in [*engine.words, *engine.context.values()])


def test_the_name_of_the_directory_becomes_the_name_of_an_image(tmp_path: Path) -> None:
    assert image.image_name(Git(tmp_path / "Adult Income_2 (copy)")) == "adult-income-2-copy"


def test_what_the_recipe_copies_is_what_is_handed_over() -> None:
    recipe = (PROJECT / image.RECIPE).read_text()
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", recipe, re.MULTILINE))
    allowed = re.findall(r"^!(\S+)", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(allowed) == {*image.OF_THE_COMMIT, "deploy", "release.json"}
    assert copied == {
        part if part.startswith("requirements/") else part.split("/")[0]
        for part in {*allowed} - {image.RECIPE}
    }


def test_the_composition_holds_no_secret_and_opens_nothing_to_the_world() -> None:
    services = yaml.safe_load((PROJECT / "container/compose.yaml").read_text())["services"]
    assert services["service"]["environment"]["API_KEY"].startswith("${API_KEY:?")
    database = services["predictions"]["environment"]["POSTGRES_PASSWORD"]
    assert database.startswith("${POSTGRES_PASSWORD:?")
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert ".env" in {line.strip("/") for line in (PROJECT / ".gitignore").read_text().split()}

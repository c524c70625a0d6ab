"""Tests the image of a release: it is really built, run as in production, asked, stopped and rolled back."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from baking import NAME, UNBAKED, Run

ENGINE = Path.home() / ".cache/mlops-engine"
BASE = "docker.io/library/python:3.11-slim"
KEY = "correct-horse"
SECRET = "word-of-the-package-index"  # noqa: S105
HARDENED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all",
            "--security-opt=no-new-privileges")  # fmt: skip
READY_SECONDS = 60


@dataclass
class Podman:
    """Podman with its own settings and storage."""

    run_command: Run
    cwd: Path

    def __call__(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run_command("podman", *words, cwd=self.cwd, check=check)

    def inspect(self, what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("inspect", what).stdout)[0]
        return found

    def inside(self, image: str, *command: str) -> str:
        """Returns the output of a command that runs in the image as root, so that it sees every file."""
        return self("run", "--rm", "--network=none", "--user=0", image, *command).stdout


@dataclass
class Container:
    """A service in a container, published at a free port."""

    podman: Podman
    name: str
    port: int

    def ask(self, method: str, path: str, body: object = None, key: str = KEY) -> tuple[int, Any]:
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def wait(self) -> None:
        """Waits until the container is healthy."""
        end = time.monotonic() + READY_SECONDS
        while self.podman("healthcheck", "run", self.name, check=False).returncode:
            if time.monotonic() > end or not self.state["Running"]:
                logs = self.podman("logs", self.name)
                pytest.fail(f"{self.name} is not ready\n{logs.stdout}{logs.stderr}")
            time.sleep(0.2)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.podman.inspect(self.name)["State"]
        return found


@pytest.fixture(scope="session")
def podman(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Podman:
    settings = {
        "CONTAINERS_CONF": str(ENGINE / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(ENGINE / "storage.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
    podman = Podman(Run({**environment, **settings}), tmp_path_factory.mktemp("podman"))
    if not shutil.which("podman") or podman("image", "exists", BASE, check=False).returncode:
        pytest.skip("no container engine for tests here: `make engine` sets one up")
    return podman


@pytest.fixture(scope="module")
def project(
    run: Run, podman: Podman, production: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project in which v1.0.1, the model of v1.0.0 with a required key, has replaced v1.0.0 in prod."""
    copy = tmp_path_factory.mktemp("container") / "copy"
    shutil.copytree(production, copy, symlinks=True)
    project = copy / NAME
    change(project / "environments/prod.yaml", "api_key_required: false", "api_key_required: true")
    change(project / "mlops/service/service.py", r"\Z", "# Another serving code.\n")
    run.git("commit", "--all", "--message", "Ask for a key", cwd=project)
    for environment in ("staging", "prod"):
        run("mlops", "promote", environment, cwd=project)
    return project


def change(file: Path, old: str, new: str) -> None:
    text, found = re.subn(old, new, file.read_text())
    assert found == 1
    file.write_text(text)


@pytest.fixture(scope="module")
def image(project: Path, podman: Podman) -> str:
    """The image of v1.0.1, built by pip with settings that hold a secret."""
    settings = project.parent / "pip.conf"
    settings.write_text(f"# {SECRET}\n")
    return build(podman, project, pip=str(settings))


def build(podman: Podman, project: Path, *words: str, pip: str = os.devnull) -> str:
    """Builds an image with `mlops image`, and returns its name."""
    # A docker that answers would be taken first, and has not what `make engine` made.
    variables = {"DOCKER_HOST": "unix:///nowhere", "PIP_CONFIG_FILE": pip}
    mlops = Run(podman.run_command.environment | variables)
    done = mlops("mlops", "image", *words, cwd=project)
    name, _, _ = done.stdout.partition(": ")
    return name


@pytest.fixture
def start(podman: Podman) -> Iterator[Callable[..., Container]]:
    names: list[str] = []

    def start(image: str, *options: str) -> Container:
        name = f"service-{os.getpid()}-{len(names)}"
        port = free_port()
        publish = ("--publish", f"127.0.0.1:{port}:8000")
        podman("run", "--detach", "--name", name, *publish, *HARDENED, *options, image)
        names.append(name)
        return Container(podman, name, port)

    yield start
    for name in names:
        podman("rm", "--force", "--time=0", name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def service(start: Callable[..., Container], image: str) -> Container:
    """A service of v1.0.1 that is ready and has no writable file."""
    container = start(image, "--env", f"API_KEY={KEY}")
    container.wait()
    return container


def example(run: Run, project: Path) -> Any:
    """Returns a row, and the answer of `mlops predict` for it."""
    return json.loads(run("mlops", "predict", cwd=project).stdout)


def test_the_recipe_is_clean(run: Run) -> None:
    assert run("hadolint", "container/Dockerfile", cwd=UNBAKED).stdout == ""


def test_the_image_answers_as_the_release_does(run: Run, project: Path, service: Container) -> None:
    expected = example(run, project)
    status, answer = service.ask("POST", "/predict", expected["row"])
    assert (status, answer["version"]) == (200, "v1.0.1")
    assert answer["predictions"][0]["probability"] == expected["probability"]
    assert service.ask("GET", "/model")[1]["version"] == "v1.0.1"
    assert service.ask("POST", "/predict", expected["row"], key="another")[0] == 401
    assert service.state["Health"]["Status"] == "healthy"


def test_prod_without_a_key_does_not_start(podman: Podman, image: str) -> None:
    done = podman("run", "--rm", "--network=none", *HARDENED, image, check=False)
    assert done.returncode == 1
    assert "API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_stopping_finishes_what_is_in_flight(run: Run, project: Path, service: Container) -> None:
    body = json.dumps(example(run, project)["row"]).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode() + body[:10])
        time.sleep(0.5)
        stop = ["podman", "stop", "--time=30", service.name]
        started = time.monotonic()
        with subprocess.Popen(stop, env=service.podman.run_command.environment) as stopping:
            time.sleep(0.5)
            assert stopping.poll() is None
            connection.sendall(body[10:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - started < 10
    assert service.state["ExitCode"] == 0


def test_the_image_holds_what_serves_and_nothing_else(podman: Podman, image: str) -> None:
    search = "import importlib.util as u, sys; print(*(n for n in sys.argv[1:] if u.find_spec(n)))"
    unwanted = ("pip", "setuptools", "ensurepip", "sklearn", "pandas", "pyarrow", "dvc")
    found = podman.inside(image, "python", "-c", search, *unwanted, "mlops", "onnxruntime")
    assert found.split() == ["mlops", "onnxruntime"]
    assert podman.inside(image, "sh", "-c", "command -v gcc cc make git pip curl; true") == ""
    files = podman.inside(image, "find", "/app", "-maxdepth", "1", "-mindepth", "1")
    assert {Path(file).name for file in files.split()} == {
        "deploy",
        "release.json",
        "mlops",
        "science",
    }
    writable = "find / -xdev -user 10001 -o -xdev -type f -perm -o=w"
    assert podman.inside(image, "sh", "-c", writable) == ""


def test_no_secret_is_left_in_the_image(podman: Podman, image: str) -> None:
    search = f"grep -rls -e {SECRET} / --exclude-dir=proc --exclude-dir=sys; true"
    assert podman.inside(image, "sh", "-c", search) == ""
    assert SECRET not in json.dumps(podman.inspect(image))


def test_labels_user_and_size(run: Run, podman: Podman, project: Path, image: str) -> None:
    found = podman.inspect(image)
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["StopSignal"] in ("SIGTERM", "15")
    labels = found["Labels"]
    assert labels["org.opencontainers.image.version"] == "v1.0.1"
    assert labels["org.opencontainers.image.revision"] == run.git("rev-parse", "prod", cwd=project)
    (model,) = podman.inside(image, "md5sum", "/app/deploy/model.onnx").split()[:1]
    assert labels["mlops.model"] == model
    megabytes = podman.inside(image, "du", "-sm", "/opt/venv", "/app").split()[::2]
    assert sum(map(int, megabytes)) < 210


def test_rolling_back_is_to_run_the_image_of_the_version_before(
    run: Run, podman: Podman, project: Path, image: str, start: Callable[..., Container]
) -> None:
    before = build(podman, project, "--version", "v1.0.0")
    assert (before, image) == (f"{NAME}:v1.0.0", f"{NAME}:v1.0.1")
    layers = [podman.inspect(name)["RootFS"]["Layers"] for name in (before, image)]
    assert layers[0][:-1] == layers[1][:-1]
    service = start(before)
    service.wait()
    assert service.ask("GET", "/model")[1]["version"] == "v1.0.0"


def test_the_composition_runs(podman: Podman, project: Path, image: str, tmp_path: Path) -> None:
    if not shutil.which("podman-compose"):
        pytest.skip("podman-compose is not there: `make engine` installs it")
    port = free_port()
    shutil.copy(project / "container/compose.yaml", tmp_path)
    (tmp_path / ".env").write_text(
        f"IMAGE={image}\nAPI_KEY={KEY}\nPOSTGRES_PASSWORD=word\nPORT={port}\n"
    )
    compose = ("podman-compose", "--project-name", f"composition-{os.getpid()}")
    try:
        podman.run_command(*compose, "up", "--detach", "service", cwd=tmp_path)
        service = Container(podman, f"composition-{os.getpid()}_service_1", port)
        service.wait()
        assert service.ask("GET", "/model")[1]["version"] == "v1.0.1"
        assert podman.inspect(service.name)["HostConfig"]["ReadonlyRootfs"]
    finally:
        podman.run_command(*compose, "down", cwd=tmp_path)

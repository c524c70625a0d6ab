import os
import socket
import struct
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest

from mlops.errors import Away, Refused, UsageError
from mlops.tables import files, parquet_source, text
from mlops.tables.errors import SourceError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.csv", "in/a.parquet", "in/done/c.csv", "in/.d.csv", "in/_e.csv", "in/f.dvc"):
        path = Path(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(name)
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    """An object storage in the memory of this process."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


def paths(*inputs: str) -> list[str]:
    found, unfound = files.find_paths(inputs)
    for error in unfound.values():
        raise error
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in", ["in/a.parquet", "in/b.csv"]),
        ("in/*.csv", ["in/b.csv"]),
        ("in/**/*.csv", ["in/b.csv", "in/done/c.csv"]),
        ("in/b.csv", ["in/b.csv"]),
    ],
)
def test_a_folder_holds_its_own_files_and_a_pattern_any(
    folder: Path, text: str, expected: list[str]
) -> None:
    assert paths(text) == expected


@pytest.mark.parametrize("text", ["in/f.dvc", "in/done/*.parquet", "empty"])
def test_an_input_without_files_to_score_is_refused(folder: Path, text: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no table: names of tables end in .*\.parquet"):
        paths(text)


def test_a_file_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"^in/x\.csv does not exist$"):
        paths("in/x.csv")


def test_a_name_that_is_too_long_is_refused_and_the_other_inputs_are_found(folder: Path) -> None:
    long = "n" * 300 + ".csv"
    found, unfound = files.find_paths([long, "in/b.csv"])
    assert (found, [*unfound]) == (["in/b.csv"], [long])
    assert str(unfound[long]) == f"{long} can't be read: File name too long"


def test_what_is_no_file_is_refused_and_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo("in/pipe.csv")
    for path in ("in/pipe.csv", "in"):
        with pytest.raises(SourceError, match=rf"^{path} is a folder, a pipe or a device: name"):
            files.hashed_file(path)


def test_paths_keep_the_order_of_the_inputs_and_occur_once(folder: Path) -> None:
    expected = ["in/done/c.csv", "in/a.parquet", "in/b.csv"]
    assert paths("in/done/c.csv", "in", "in/b.csv") == expected
    assert files.size_of_file("in/b.csv") == 8
    assert files.size_of_file("in/none.csv") == 0


def test_suffixes_in_upper_case_are_known_and_what_is_not_read_is_named(
    folder: Path, memory: Any
) -> None:
    for name in ("in/G.CSV", "in/H.Txt.GZ", "in/notes.xlsx", "in/README.md"):
        Path(name).write_text(name)
    assert paths("in") == ["in/G.CSV", "in/H.Txt.GZ", "in/a.parquet", "in/b.csv"]
    assert paths("in/G.CSV", "in/[GH]*") == ["in/G.CSV", "in/H.Txt.GZ"]
    unread = ["in/README.md", "in/_e.csv", "in/done/", "in/notes.xlsx"]
    assert files.unread_entries(["in", "in/b.csv"]) == unread
    assert files.unread_entries(["in/*.xlsx", "in/**"]) == [
        each for each in unread if each[-1] != "/"
    ]
    for path in ("/in/a.CSV", "/in/b.xlsx", "/in/deeper/c.csv"):
        memory.pipe(path, b"x")
    assert paths("memory://in") == ["memory:///in/a.CSV"]
    assert files.unread_entries(["memory://in"]) == ["memory:///in/b.xlsx", "memory:///in/deeper/"]


def test_object_storage(memory: Any) -> None:
    for path in ("/in/a.csv", "/in/b.csv.gz", "/in/deeper/c.csv"):
        memory.pipe(path, path.encode())
    assert paths("memory://in") == ["memory:///in/a.csv", "memory:///in/b.csv.gz"]
    assert paths("memory://in/*.csv") == ["memory:///in/a.csv"]
    file = files.hashed_file("memory://in/a.csv")
    assert (file.name, file.size) == ("a.csv", 9)
    with file.open() as stream:
        assert stream.read() == b"/in/a.csv"
    with pytest.raises(SourceError, match=r"memory://in/x\.csv"):
        paths("memory://in/x.csv")


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_library_that_is_not_installed_is_named(
    scheme: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"{scheme}://.*{library}.*make lock && make"):
        paths(f"{scheme}://bucket/rows.csv")


def test_a_password_in_an_input_is_refused() -> None:
    with pytest.raises(Refused, match="contains a password"):
        paths("s3://key:hunter2@bucket/rows.csv")


@pytest.mark.parametrize("place", ["in/b.csv", "memory://in/b.csv"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    folder: Path, memory: Any, place: str
) -> None:
    memory.pipe("/in/b.csv", b"a")
    file = files.hashed_file(place)
    files.refuse_changed(file)
    memory.pipe("/in/b.csv", b"longer")
    Path("in/b.csv").write_text("longer still")
    with pytest.raises(SourceError, match="changed while it was read: wait until it is complete"):
        files.refuse_changed(file)


class Failing(BaseHTTPRequestHandler):
    """Says how long a file is, and then fails to send it."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_url_that_fails_or_is_unreachable_may_be_tried_again_and_has_no_size() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        url = f"http://127.0.0.1:{server.server_port}/rows.csv"
        Thread(target=server.serve_forever).start()
        try:
            assert files.size_of_file(url) == 9
            with pytest.raises(Away, match=rf"{url} is unavailable now: 500.*; try again later"):
                files.hashed_file(url)
        finally:
            server.shutdown()
    fsspec.filesystem("http").invalidate_cache()
    assert files.size_of_file(url) == files.size_of_file("no.csv") == 0
    with pytest.raises(SourceError, match=rf"{url} can't be read: "):  # so says fsspec
        files.hashed_file(url)


class Cut(Failing):
    """Says how long a file is, and then breaks the connection."""

    def do_GET(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def read_begin(file: files.File) -> None:
    if file.path.endswith("parquet"):
        parquet_source.open_parquet(file)
        return
    with text.open_utf8(file, text.StoredText()) as (_, stream):
        stream.read(1)


@pytest.mark.parametrize("handler", [Failing, Cut])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_a_storage_that_fails_while_a_file_is_parsed_is_away_and_the_file_is_not_broken(
    handler: type[Failing], name: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        file = files.File(f"http://127.0.0.1:{server.server_port}/{name}", size=9)
        Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(Away, match=rf"{file.path} is unavailable now: .*; try again later"):
                read_begin(file)
        finally:
            server.shutdown()

"""`mlops serve`: answers with what a branch deployed, and follows the branch.

The socket is this process's own. When the branch moves, a process of the new commit is started beside
the old one, on the same socket; once it is ready, the old one finishes its requests and ends. So
code, libraries, schema and model change together, and no request is dropped.
"""

import asyncio
import json
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

from mlops.errors import MlopsError
from mlops.log_stream import LogStream
from mlops.release.follow import deployment, news, running
from mlops.release.follow.child import Child, NotReady
from mlops.release.follow.deployment import Deployment
from mlops.release.history import arrivals, branches
from mlops.release.history.git import Git
from mlops.release.places.process import refuse_windows

LOOK = 0.5
"""Seconds between two looks at the branch in this repository."""
RETRY = 30.0
"""Seconds until a commit that was not available is tried again."""
READER_SECONDS = 1.0
"""Seconds that the reader of the log has for the last lines."""
REFUSED = "refused.json"
BACKLOG = 2048

Level = Literal["info", "warning", "error"]
T = TypeVar("T")


def serve(git: Git, revision: str, *, host: str, port: int, follow: float | None) -> None:
    """Serves a revision until SIGTERM or an interrupt from the keyboard.

    `follow` is the number of seconds between two fetches from origin, or None to follow no branch. Raises
    MlopsError if the first process does not start.
    """
    with listening_socket(host, port) as shared:
        asyncio.run(Supervisor(git, revision, shared, follow).run())


def listening_socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise MlopsError(
            f"port {port} of {host} can't be listened on: {error.strerror}. Stop what uses it, or "
            "choose others with --host and --port"
        ) from error


class Supervisor:
    """Runs one process that answers, and replaces it when the branch moves.

    `refused` describes the commit that can't be served, as GET /model shows it; `barred` is the commit
    that was tried and did not start; `retry_at` is when a commit that was not available is tried again.
    """

    def __init__(
        self, git: Git, revision: str, shared: socket.socket, follow: float | None
    ) -> None:
        self.git = git
        self.revision = revision
        self.shared = shared
        self.every = follow
        self.refused: dict[str, Any] | None = None
        self.barred: str | None = None
        self.retry_at = math.inf
        self.has_died = False
        self.changing = asyncio.Lock()
        self.draining: set[asyncio.Task[None]] = set()
        self.stream = LogStream(sys.stdout.fileno())

    async def run(self) -> None:
        refuse_windows()
        self.end_on_signals()
        try:
            with suppress(asyncio.CancelledError):
                self.child = await self.start_first()
                try:
                    await self.answer_and_follow()
                finally:
                    self.log("ending")
                    self.retire()
                    await asyncio.gather(*self.draining)
        finally:
            self.stream.wait(READER_SECONDS)

    def end_on_signals(self) -> None:
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    async def start_first(self) -> Child:
        child = await in_thread(lambda: self.prepare_child(self.revision))
        try:
            await child.start()
        except NotReady as error:
            raise MlopsError(f"{child.name} ({self.revision}) does not start: {error}") from error
        return child

    async def answer_and_follow(self) -> None:
        name = self.revision if self.every else None
        with running.announced_service(self.git, name, *self.shared.getsockname()[:2]) as self.url:
            async with asyncio.TaskGroup() as self.tasks:
                self.begin_serving()
                self.tasks.create_task(self.watch_deployment())
                if self.every:
                    self.tasks.create_task(self.follow())
                if self.every and branches.has_origin(self.git):
                    self.tasks.create_task(self.fetch_regularly(self.every))

    def begin_serving(self) -> None:
        facts = child_facts(self.child)

        def log_death(reason: str) -> None:
            self.has_died = True
            self.log("died", "error", **facts, reason=reason)

        self.keeping = self.tasks.create_task(self.child.keep(log_death))
        self.log("serving", **facts, url=self.url)
        self.clear_refused()

    async def follow(self) -> None:
        seen = ""
        while True:
            known = news.branch_state(self.git, self.revision)
            if known != seen or time.monotonic() > self.retry_at:
                seen, self.retry_at = known, math.inf
                async with self.changing:
                    await self.catch_up()
            await asyncio.sleep(LOOK)

    async def watch_deployment(self) -> None:
        """Restores the deployment whenever its folder was removed, or its process died and the bundle was
        changed."""
        while True:
            deployed = self.child.deployed
            is_intact = deployed.is_intact if self.has_died else deployed.is_there
            self.has_died = False
            if not is_intact:
                self.log("restoring", "warning", reason=f"{deployed.folder} was removed or changed")
                await self.restore(deployed)
            await asyncio.sleep(LOOK)

    async def restore(self, deployed: Deployment) -> None:
        """Prepares the deployment again and serves it from a new process, unless another serves by now."""
        deployed.discard()  # first, since `catch_up` may wait for its lock
        async with self.changing:
            if self.child.deployed is not deployed:
                return
            try:
                new = await in_thread(partial(self.prepare_child, deployed.commit))
            except Exception as error:  # as in catch_up
                self.refuse_for(deployed.commit, error)
            else:
                await self.replace(new)
                return
        await asyncio.sleep(RETRY)

    async def fetch_regularly(self, every: float) -> None:
        """Fetches from origin every so many seconds; logs each change from available to unavailable."""
        unavailable = ""
        while True:
            await asyncio.sleep(every)
            reason = await news.fetch_quietly(self.git)
            if reason and not unavailable:
                self.log("origin_away", "warning", reason=reason)
            if unavailable and not reason:
                self.log("origin_back")
            unavailable = reason

    async def catch_up(self) -> None:
        """Serves the last commit of the branch; if that fails, the present process goes on."""
        commit = None
        try:
            commit = arrivals.release_commit(self.git, branches.tip_of(self.git, self.revision))
            if commit == self.barred:
                return
            new = await in_thread(partial(self.prepare_child, commit))
        except Exception as error:  # the new commit may fail in any way
            self.retry_at = time.monotonic() + RETRY
            self.refuse_for(commit, error)
            return
        if new.release == self.child.release:
            new.deployed.close()
            self.clear_refused()
            return
        await self.replace(new)

    async def replace(self, new: Child) -> None:
        self.log("starting", **child_facts(new))
        try:
            await new.start()
        except NotReady as error:
            new.deployed.close()
            self.barred = new.deployed.commit
            self.refuse(self.barred, str(error))
            return
        self.retire()
        self.child = new
        self.begin_serving()

    def retire(self) -> None:
        """Lets the present process finish its requests and end."""
        self.clear_refused()
        self.keeping.cancel()
        draining = asyncio.create_task(self.child.drain())
        self.draining.add(draining)
        draining.add_done_callback(self.draining.discard)

    def refuse_for(self, commit: str | None, error: Exception) -> None:
        self.refuse(commit, str(error) if isinstance(error, MlopsError) else repr(error))

    def refuse(self, commit: str | None, reason: str) -> None:
        """Reports the refusal once: in the log, at GET /model and in `mlops status`."""
        refused = {"version": self.version_at(commit), "commit": commit, "reason": reason}
        if refused != self.refused:
            self.refused = refused
            with suppress(OSError):  # the service goes on if the disk is full
                deployment.replace_file(self.child.deployed.folder / REFUSED, refused)
            self.log("refused", "error", **refused)

    def version_at(self, commit: str | None) -> str | None:
        with suppress(MlopsError):
            tagged = commit and deployment.record_of_commit(self.git, self.revision, commit)
            return tagged.record.version if tagged else None
        return None

    def clear_refused(self) -> None:
        self.refused = self.barred = None
        (self.child.deployed.folder / REFUSED).unlink(missing_ok=True)

    def prepare_child(self, revision: str) -> Child:
        deployed = deployment.open_deployment(
            self.git, revision, say=lambda line: self.log("preparing", reason=line)
        )
        try:
            return Child(deployed, self.shared)
        except Exception:  # its folder may be removed meanwhile
            deployed.close()
            raise

    def log(self, event: str, level: Level = "info", **facts: object) -> None:
        if dropped := self.stream.take_dropped():
            self.log("dropped", "warning", lines=dropped)
        now = datetime.now(UTC)
        if self.stream.is_terminal:
            text = f"{now.astimezone():%H:%M:%S} {event_text(event, facts)}"
        else:
            when = now.isoformat().replace("+00:00", "Z")
            common = {"event": event, "time": when, "level": level, "environment": self.revision}
            text = json.dumps(common | facts)
        self.stream.write(f"{text}\n".encode(errors="replace"), 1)


def event_text(event: str, facts: Mapping[str, object]) -> str:
    """Returns an event as people read it on a terminal."""
    if event == "serving":
        name = facts["version"] or str(facts["commit"])[:7]
        return f"{name} of {facts['environment']} answers at {facts['url']}; Ctrl-C ends it"
    text = ", ".join([event, *(f"{name} {fact}" for name, fact in facts.items() if fact)])
    return "".join(letter if letter.isprintable() else " " for letter in text)


def child_facts(child: Child) -> dict[str, Any]:
    return {name: child.release[name] for name in ("environment", "version", "commit")}


async def in_thread(work: Callable[[], T]) -> T:
    """Runs the work in a thread that does not delay the end of the process, as a download would."""
    result: Future[T] = Future()

    def run() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(work())
        except Exception as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(result)

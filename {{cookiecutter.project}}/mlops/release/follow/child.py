"""A process of the service, which answers with one deployment on a socket that others share."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from mlops.release.follow.deployment import Deployment
from mlops.release.places import tethered

PATIENCE = 60.0
"""Seconds within which the process must be ready."""
DRAINED = 15.0
"""Seconds within which the process must finish its requests when it is drained."""
BACK_OFF = (0.2, 30.0)
"""Seconds from a death to the next start: at first, and at most; they are doubled each time."""
STEADY = 60.0
"""Seconds after which a process counts as stable, so that its death counts as a first one."""


class NotReady(Exception):
    """The process does not answer; the message says why."""


class Child:
    def __init__(self, deployed: Deployment, listening: socket) -> None:
        """Prepares the process. This may take minutes, since missing libraries are installed."""
        self.deployed = deployed
        self.release = deployed.release
        self._python = deployed.python
        self._listening = listening
        self._process: Process | None = None

    @property
    def name(self) -> str:
        """Returns the version, or the short commit if there is none."""
        return self.release["version"] or self.deployed.commit[:7]

    async def start(self) -> None:
        """Starts the process and waits until it answers. Raises NotReady, and then no process is left."""
        reader, writer = os.pipe()
        service = (
            "-m",
            "mlops.service",
            "--fd",
            str(self._listening.fileno()),
            "--ready-fd",
            str(writer),
        )
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(str(self._python), tethered.__file__, str(DRAINED), *service),
                cwd=self.deployed.folder,
                env=self.deployed.variables,
                stdin=PIPE,
                pass_fds=(self._listening.fileno(), writer),
                start_new_session=True,  # an interrupt from the keyboard reaches the supervisor alone
            )
        except OSError as error:
            os.close(reader)
            raise NotReady(str(error)) from error
        finally:
            os.close(writer)
        try:
            await self._ready(reader)
        except BaseException:
            await self._kill()
            raise

    async def _ready(self, reader: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                line = await read_line(reader)
                how = "" if line else await self.ended()
        except TimeoutError:
            raise NotReady(f"it was not ready within {PATIENCE:.0f} s") from None
        if how:
            raise NotReady(f"it ended {how} before it was ready")
        if reason := reason_in(line):
            raise NotReady(reason)

    async def ended(self) -> str:
        """Waits for the end of the process and returns how it ended."""
        assert self._process
        code = await self._process.wait()
        return f"by signal {-code}" if code < 0 else f"with exit code {code}"

    async def keep(self, report: Callable[[str], None]) -> None:
        """Starts the process again whenever it dies, and passes each reason to `report`."""
        clock, (delay, longest) = asyncio.get_running_loop().time, BACK_OFF
        while True:
            began = clock()
            reason = f"it ended {await self.ended()}"
            delay = BACK_OFF[0] if clock() - began > STEADY else delay
            while reason:
                report(reason)
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest)
                reason = await self._started_again()

    async def _started_again(self) -> str:
        """Starts the process again and returns why that failed, or ""."""
        try:
            await self.start()
        except NotReady as error:
            return str(error)
        return ""

    async def drain(self) -> None:
        """Lets the process finish its requests, then ends it."""
        try:
            if self._process and self._process.returncode is None:
                self._process.terminate()
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRAINED):
                        await self._process.wait()
        finally:
            await self._kill()
            self.deployed.close()

    async def _kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def reason_in(line: bytes) -> str:
    """Returns why the process is not ready, or "" if it is."""
    try:
        report = json.loads(line)
        return "" if report.get("ready") else str(report["error"])
    except (ValueError, AttributeError, KeyError):
        return f"it reported {line!r}, which says neither that it is ready nor why it is not"


async def read_line(descriptor: int) -> bytes:
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb")
    )
    try:
        return await stream.readline()
    finally:
        transport.close()

"""A process of the service, which answers with one deployment on a socket that others share."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket

from mlops.release.follow import tethered
from mlops.release.follow.deployment import Deployment

PATIENCE = 60.0
"""Seconds until it must be ready."""
DRAINED = 15.0
"""Seconds until it must have answered what it was asked."""
BACK_OFF = (0.2, 30.0)
"""Seconds from a death to the next start: of the first, doubled up to the last."""
STEADY = 60.0
"""Seconds of life after which a death counts as a first one."""


class NotReady(Exception):
    """Why the process can't answer."""


class Child:
    def __init__(self, deployed: Deployment, listening: socket) -> None:
        """May take a while: where the libraries are not at hand, they are installed."""
        self.deployed = deployed
        self.release = deployed.release
        self._python = deployed.python
        self._listening = listening
        self._process: Process | None = None

    @property
    def name(self) -> str:
        """The version, or the commit of what has none."""
        return self.release["version"] or self.deployed.commit[:7]

    async def start(self) -> None:
        """Until it answers. Raises NotReady; then no process is left."""
        heard, told = os.pipe()
        service = ("mlops.service", "--fd", str(self._listening.fileno()), "--ready-fd", str(told))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(str(self._python), str(Path(tethered.__file__)), *service),
                cwd=self.deployed.folder,
                env=self.deployed.variables,
                stdin=PIPE,
                pass_fds=(self._listening.fileno(), told),
                start_new_session=True,  # an interrupt from the keyboard is the supervisor's to hear
            )
        except OSError as error:
            os.close(heard)
            raise NotReady(str(error)) from error
        finally:
            os.close(told)
        try:
            await self._ready(heard)
        except BaseException:
            await self._kill()
            raise

    async def _ready(self, heard: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                line = await read_line(heard)
                how = "" if line else await self.ended()
        except TimeoutError:
            raise NotReady(f"it was not ready within {PATIENCE:.0f} s") from None
        if how:
            raise NotReady(f"it ended {how} before it was ready")
        if reason := reason_in(line):
            raise NotReady(reason)

    async def ended(self) -> str:
        """Once it has: how."""
        assert self._process
        code = await self._process.wait()
        return f"by signal {-code}" if code < 0 else f"with exit code {code}"

    async def keep(self, tell: Callable[[str], None]) -> None:
        """Starts it again whenever it dies, and tells why it does not answer."""
        clock, (delay, longest) = asyncio.get_running_loop().time, BACK_OFF
        while True:
            began = clock()
            reason = f"it ended {await self.ended()}"
            delay = BACK_OFF[0] if clock() - began > STEADY else delay
            while reason:
                tell(reason)
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest)
                reason = await self._started_again()

    async def _started_again(self) -> str:
        """Why not, if it was not."""
        try:
            await self.start()
        except NotReady as error:
            return str(error)
        return ""

    async def drain(self) -> None:
        """Lets it answer what it was asked, then ends it."""
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
    """Why it is not ready; empty where it is."""
    try:
        said = json.loads(line)
        return "" if said.get("ready") else str(said["error"])
    except (ValueError, AttributeError, KeyError):
        return f"it said {line!r}, and neither that it is ready nor why it is not"


async def read_line(descriptor: int) -> bytes:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return await reader.readline()
    finally:
        transport.close()

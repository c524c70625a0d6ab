"""Runs the service: listens on a socket, and shuts down without dropping a request."""

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn

from mlops.service.connections import Connection, Connections
from mlops.service.errors import StartError
from mlops.service.observation import Observation
from mlops.service.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 that proxies keep an idle connection, so that they close it first."""
DRAIN_SECONDS = 3


class Server(uvicorn.Server):
    """Runs an application until a signal comes. It then accepts no more connections, and for DRAIN_SECONDS
    answers on those that are open with `Connection: close`."""

    def __init__(
        self, observed: Observation, settings: Settings, report_ready: Callable[[], None]
    ) -> None:
        self._watched = Connections(settings, observed.log)
        config = uvicorn.Config(
            observed,
            loop="auto",  # uvloop, which Windows does not have
            http=partial(Connection, self._watched),  # type: ignore[arg-type] # it is only called
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.max_seconds) + 1,
        )
        super().__init__(config)
        self._observed = observed
        self._report_ready = report_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals to the end. uvicorn would raise them again then, which would kill the process."""
        for number in uvicorn.server.HANDLED_SIGNALS:
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # else the collector takes 12 % of the time at 64 connections, and 58 ms at once
        self._report_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            now = asyncio.get_running_loop().time()
            self._watched.close_overdue(self.server_state.connections, now)
            self._watched.report()
        self._observed.log.flush()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._observed.draining = True
        for server in self.servers:
            server.close()
        end = time.monotonic() + DRAIN_SECONDS
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            self._observed.log.flush()
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        self._observed.log.flush()


def listen_on(settings: Settings) -> socket.socket:
    """Returns a socket that listens on host and port. Raises StartError if that is not possible."""
    host, port = settings.host, settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartError(
            f"port {port} of {host} can't be listened on: {reason}. Stop what uses it, or choose "
            "others with --host and --port"
        ) from None


def address_of(listening: socket.socket) -> str:
    """Returns the URL of a listening socket, or the path of a Unix socket."""
    name = listening.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    host, port = name[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def inherited_socket(descriptor: int) -> socket.socket:
    """Returns the socket of a file descriptor. Raises StartError if it is not one."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"--fd {descriptor} is not a socket: {error.strerror}") from None

"""Locks of a file between processes. A lock ends with the process that has it, however that ends."""

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, which has a function for locks of its own
    import msvcrt

    WINDOWS_OFFSET = 1 << 30
    """The byte that is locked on Windows, far behind the content, since a locked byte cannot be read."""

    def lock_descriptor(descriptor: int, *, shared: bool, wait: bool) -> None:
        """Locks an open file; on Windows, a shared lock is as exclusive as any other."""
        while True:
            os.lseek(descriptor, WINDOWS_OFFSET, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
                break
            except OSError as error:  # LK_LOCK gives up after ten seconds
                if not wait:
                    raise BlockingIOError(*error.args) from error
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def lock_descriptor(descriptor: int, *, shared: bool, wait: bool) -> None:
        """Locks an open file."""
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)


def lock_file(path: Path, *, shared: bool = False, wait: bool = True) -> IO[bytes]:
    """Returns the file, open for writing at its beginning, with a lock that lasts until it is closed.

    A file that is not there is made. It may be renamed or removed by the process that has the lock: who waits
    for it then locks the next one. Raises BlockingIOError, without `wait`, if another process has the lock.
    """
    while True:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
        try:
            lock_descriptor(file.fileno(), shared=shared, wait=wait)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()

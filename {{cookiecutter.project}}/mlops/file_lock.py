"""Locks of a file between processes. A lock ends with the process that has it, however that ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO


def lock_file(path: Path, *, shared: bool = False, wait: bool = True) -> IO[bytes]:
    """Returns the file, open for writing at its beginning, with a lock that lasts until it is closed.

    A file that is not there is made. It may be renamed or removed by the process that has the lock: who waits
    for it then locks the next one. Raises BlockingIOError, without `wait`, if another process has the lock.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
        try:
            fcntl.flock(file, how)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()

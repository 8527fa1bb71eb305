"""One writer or many readers of a store, across processes and threads.

The lock is a side-car file that the kernel gives back when its holder dies, however it
dies. A second file is a turnstile: everybody passes it one at a time, and a writer stays
in it until the readers before him have left. So readers that keep coming cannot keep a
writer out, and the one who has just released the lock cannot take it past the one who
waits. Needs a local disk and a POSIX system.
"""

import fcntl
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from trading_assets.errors import StoreBusy

SHORTEST_PAUSE_SECONDS = 0.001
LONGEST_PAUSE_SECONDS = 0.02
COMMAND_LENGTH = 100


class FileLock:
    """The lock of one store: shared by many, or held by one.

    It is not re-entrant: asking again while holding it waits for oneself.
    """

    def __init__(self, guarded: Path, wait_seconds: float, name: str = "") -> None:
        """Name the lock; nothing is touched yet.

        Args:
            guarded: What is locked; the side-cars are named after it and lie beside it.
            wait_seconds: Longest wait for the lock, 0 or above.
            name: What messages call it; empty for its path.
        """
        self._name = name or str(guarded)
        self._wait_seconds = wait_seconds
        self._path = guarded.with_name(f"{guarded.name}.lock")
        self._turnstile = guarded.with_name(f"{guarded.name}.lock.next")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Keep writers out.

        Raises:
            StoreBusy: If a writer kept the lock for longer than the wait.
        """
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep everybody else out, and leave word of who we are.

        Raises:
            StoreBusy: If others kept the lock for longer than the wait; it names them.
        """
        with self._held(fcntl.LOCK_EX) as lock:
            os.ftruncate(lock, 0)  # a writer that was killed has left its name
            since = datetime.now(UTC).isoformat(timespec="seconds")
            os.pwrite(lock, f"{whoami()} since {since}".encode(), 0)
            try:
                yield
            finally:
                os.ftruncate(lock, 0)

    @contextmanager
    def _held(self, kind: int) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait_seconds
        with _opened(self._path) as lock:
            with _opened(self._turnstile) as turnstile:
                self._take(turnstile, fcntl.LOCK_EX, deadline, lock)
                self._take(lock, kind, deadline, lock)
            yield lock

    def _take(self, wanted: int, kind: int, deadline: float, lock: int) -> None:
        pause = SHORTEST_PAUSE_SECONDS
        while not _try(wanted, kind):
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    f"{self._name} is in use by {_holder(lock)}; gave up after "
                    f"{self._wait_seconds:g} s"
                )
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        # A forked child may still have the file open: closing alone would not unlock it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def whoami() -> str:
    """This process, for those who have to wait for it: its number and its command."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:COMMAND_LENGTH]
    return f"process {os.getpid()} ({command})"


def _holder(lock: int) -> str:
    # The name may be that of a writer that was killed: where we may read, nobody writes.
    if _try(lock, fcntl.LOCK_SH):
        return "readers"
    return os.pread(lock, 4 * COMMAND_LENGTH, 0).decode(errors="replace") or "a writer"

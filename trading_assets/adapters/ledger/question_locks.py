"""One asker for each question, over all processes; whoever dies gives it back.

Beside a SQLite file there is one file of which each question locks one byte; the kernel
keeps such locks by process, so within one a set says who has what. PostgreSQL has locks of
its own, and one connection holds them all.
"""

import fcntl
import os
import threading
from functools import cache
from pathlib import Path
from typing import Protocol, override

import sqlalchemy as sa

TAKE = sa.text(
    "SELECT pg_try_advisory_lock(hashtextextended("
    "current_schema() || '/question/' || :key, 0))"
)
GIVE_BACK = sa.text(
    "SELECT pg_advisory_unlock(hashtextextended("
    "current_schema() || '/question/' || :key, 0))"
)
DIGITS = 15
"""Of a key, in base 16: as many as an offset in a file may have."""


class _Locks(Protocol):
    """Locks by name; *take* says whether nobody else had it."""

    def take(self, key: str) -> bool: ...

    def give_back(self, key: str) -> None: ...

    def close(self) -> None: ...


class QuestionLocks:
    """Locks by question key, of one ledger; not re-entrant."""

    def __init__(self, engine: sa.Engine) -> None:
        is_local = engine.dialect.name == "sqlite"
        self._locks: _Locks = _file_locks(_beside(engine)) if is_local else _Session(engine)
        self._held: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def take(self, key: str) -> bool:
        """Have the question to oneself; False if somebody else has it."""
        with self._one_at_a_time:
            is_ours = key not in self._held and self._locks.take(key)
            if is_ours:
                self._held.add(key)
            return is_ours

    def give_back(self, key: str) -> None:
        """Let others have it; what nobody has may be given back too."""
        with self._one_at_a_time:
            if key in self._held:
                self._held.remove(key)
                self._locks.give_back(key)

    def close(self) -> None:
        """Give all of them back."""
        for key in list(self._held):
            self.give_back(key)
        self._locks.close()


class _File(_Locks):
    """Bytes of a file that is never closed: closing it would give back all locks."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._held: set[int] = set()
        self._one_at_a_time = threading.Lock()

    @override
    def take(self, key: str) -> bool:
        at = int(key[:DIGITS], 16)
        with self._one_at_a_time:
            if at in self._held:
                return False
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
            except OSError:
                return False
            self._held.add(at)
            return True

    @override
    def give_back(self, key: str) -> None:
        at = int(key[:DIGITS], 16)
        with self._one_at_a_time:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, at)
            self._held.discard(at)

    @override
    def close(self) -> None:
        """Leave it open, for others in this process."""


@cache
def _file_locks(path: Path) -> _File:
    """The one of this process."""
    return _File(path)


def _beside(engine: sa.Engine) -> Path:
    ledger = Path(engine.url.database or "").resolve()
    return ledger.with_name(f"{ledger.name}.asking")


class _Session(_Locks):
    """Advisory locks of one connection to PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None

    @override
    def take(self, key: str) -> bool:
        return bool(self._opened().scalar(TAKE, {"key": key}))

    @override
    def give_back(self, key: str) -> None:
        self._opened().scalar(GIVE_BACK, {"key": key})

    @override
    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sa.Connection:
        if self._connection is None:
            options = {"isolation_level": "AUTOCOMMIT"}
            self._connection = self._engine.connect().execution_options(**options)
            self._connection.detach()  # its locks must not go to a pool
        return self._connection

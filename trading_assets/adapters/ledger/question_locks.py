"""One asker for each question, over all processes; whoever dies gives it back.

Beside a SQLite file the lock of a question is a file, which goes when it is given back.
PostgreSQL has locks of its own, and one connection holds them all.
"""

import fcntl
import os
import threading
from pathlib import Path

import sqlalchemy as sa

TAKE = sa.text(
    "SELECT pg_try_advisory_lock(hashtextextended("
    "current_schema() || '/question/' || :key, 0))"
)
GIVE_BACK = sa.text(
    "SELECT pg_advisory_unlock(hashtextextended("
    "current_schema() || '/question/' || :key, 0))"
)


class QuestionLocks:
    """Locks by question key, of one ledger; not re-entrant."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._held: dict[str, int] = {}
        self._one_at_a_time = threading.Lock()
        self._connection: sa.Connection | None = None

    def take(self, key: str) -> bool:
        """Have the question to oneself; False if somebody else has it."""
        with self._one_at_a_time:
            if key in self._held:
                return False
            if self._engine.dialect.name == "postgresql":
                taken = 0 if self._session().scalar(TAKE, {"key": key}) else None
            else:
                taken = _locked(self._file(key))
            if taken is not None:
                self._held[key] = taken
            return taken is not None

    def give_back(self, key: str) -> None:
        """Let others have it; what nobody has may be given back too."""
        with self._one_at_a_time:
            held = self._held.pop(key, None)
            if held is None:
                return
            if self._engine.dialect.name == "postgresql":
                self._session().scalar(GIVE_BACK, {"key": key})
            else:
                self._file(key).unlink(missing_ok=True)
                os.close(held)

    def close(self) -> None:
        """Give all of them back."""
        for key in list(self._held):
            self.give_back(key)
        with self._one_at_a_time:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _session(self) -> sa.Connection:
        if self._connection is None:
            options = {"isolation_level": "AUTOCOMMIT"}
            self._connection = self._engine.connect().execution_options(**options)
            self._connection.detach()  # its locks must not go to a pool
        return self._connection

    def _file(self, key: str) -> Path:
        ledger = Path(self._engine.url.database or "")
        return ledger.with_name(f"{ledger.name}.asking") / key


def _locked(path: Path) -> int | None:
    """A handle that holds the lock *path*; None if somebody else does."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, flags, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass  # held, or its holder has taken it away between our steps
    os.close(handle)
    return None

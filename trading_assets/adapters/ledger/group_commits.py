"""Many small writes in few transactions.

Putting a transaction onto the disk takes longer than writing it. So one thread writes, and
all that waits for it is one transaction. What can wait a little is written along with what
can't.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.direct import Direct, direct_writing
from trading_assets.errors import TradingAssetsError

LINGER_SECONDS = 0.02
"""Longest wait of what is not urgent for something that is."""

MOST = 500
"""Writes of one transaction."""


@dataclass(frozen=True, slots=True)
class _Job:
    write: Callable[[Direct], Any]
    is_urgent: bool
    done: Future[Any] = field(default_factory=Future)


class GroupCommits:
    """Writes to one database, in the order in which they are handed in.

    A write that fails with an error of our own must not have written anything before; the
    others of its transaction are committed.
    """

    def __init__(self, engine: sa.Engine, prepare: Callable[[Direct], None]) -> None:
        """Take a database; the thread starts with the first write.

        Args:
            engine: Of the database.
            prepare: What each transaction begins with.
        """
        self._engine = engine
        self._prepare = prepare
        self._waiting: list[_Job] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def submit[T](
        self, write: Callable[[Direct], T], *, is_urgent: bool = True
    ) -> Future[T]:
        """Have *write* done; its result is there when it is on the disk.

        Args:
            write: What is done in a transaction.
            is_urgent: Whether somebody waits for it.
        """
        job = _Job(write, is_urgent)
        with self._changed:
            self._waiting.append(job)
            if self._thread is None:
                self._is_closing = False
                self._thread = threading.Thread(
                    target=self._work, name="group-commits", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return job.done

    def close(self) -> None:
        """Write what waits, and end the thread; another write starts it again."""
        with self._changed:
            thread, self._is_closing = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            wanted = [job for job in batch if job.done.set_running_or_notify_cancel()]
            if wanted:
                self._commit(wanted)

    def _next(self) -> Sequence[_Job]:
        """What is to be written together; empty when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            self._changed.wait_for(self._is_urgent, timeout=LINGER_SECONDS)
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not batch:
                self._thread = None
        return batch

    def _is_urgent(self) -> bool:
        return self._is_closing or any(job.is_urgent for job in self._waiting)

    def _commit(self, batch: Sequence[_Job]) -> None:
        try:
            with direct_writing(self._engine) as direct:
                self._prepare(direct)
                results = [_tried(job, direct) for job in batch]
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            if len(batch) == 1:
                batch[0].done.set_exception(error)
                return
            for job in batch:  # one of them has spoilt it for all
                self._commit([job])
            return
        for job, result in zip(batch, results, strict=True):
            if isinstance(result, TradingAssetsError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)


def _tried(job: _Job, direct: Direct) -> object:
    try:
        return job.write(direct)
    except TradingAssetsError as error:
        return error

"""What we need from the place where tables are kept."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

from trading_assets.models.table import Table


@dataclass(frozen=True, slots=True)
class Between:
    """Every session from *first* to *last*, both included."""

    first: date
    last: date


type Where = Mapping[str, str | date | Between | Sequence[str] | Sequence[date]]
"""What each column must be: one value, one of several, or within a range."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """All that some partitions of a table hold from now on.

    Attributes:
        partitions: One row per partition that is replaced, its columns those of
            `Table.partition`. A partition without rows is emptied.
        rows: Rows of the table's shape, each in one of the partitions.
    """

    table: Table
    partitions: pd.DataFrame
    rows: pd.DataFrame


class Warehouse(Protocol):
    """Tables of which whole partitions are replaced.

    Every warehouse keeps these promises, and `WarehouseContract` in the tests asks for
    each of them:

    - A write is one transaction: whoever reads, and whoever comes after a crash, sees
      all of it or nothing of it.
    - Any number of processes may read and write; none of them loses a write.
    - Frames have the dtypes of `Table.conform` and are ordered by the table's key.
    - A table that was never written reads as empty; so does a column, as NULL.

    A store that stays locked by others raises `StoreBusy`, naming them.
    """

    def replace(self, *replacements: Replacement) -> None:
        """Replace exactly these partitions, all of them or none.

        Raises:
            ShapeMismatch: If rows do not have the table's shape, or are outside the
                partitions that they come with.
            StoreBusy: If the store is not free in time.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Answer all that is asked in a block from one state of the store.

        Many questions are answered sooner in one block. Nothing can be replaced in it,
        and no transaction can begin.

        Raises:
            StoreBusy: If the store is not free in time.
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Have the store to oneself: what is replaced in a block is kept when it ends.

        All of it or, if the block or a part of it raises, nothing; questions in it see
        what was replaced. A table gets new columns before rows: only in its first write.

        Raises:
            StoreBusy: If the store is not free in time.
        """
        ...

    def read(
        self,
        table: Table,
        where: Where | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Read the rows that meet every condition.

        Args:
            table: Of which table.
            where: Conditions by column; None reads every row.
            columns: Those wanted, in order; None reads every column.

        Raises:
            ShapeMismatch: If the table has no such column.
            StoreBusy: If the store is not free in time.
        """
        ...

    def window(
        self,
        table: Table,
        symbols: Sequence[str],
        first: date,
        last: date,
        before: int | None,
    ) -> pd.DataFrame:
        """Read sessions *first* to *last*, and what each symbol has before them.

        Args:
            table: One that has rows by symbol and session.
            symbols: Of these symbols only.
            first: First session of the range.
            last: Last session of the range; nothing later is read.
            before: How many of its own sessions before *first* each symbol gets, 0 or
                above; None for all.

        Raises:
            StoreBusy: If the store is not free in time.
        """
        ...

    def query(self, sql: str, limit: int | None = None) -> pd.DataFrame:
        """Answer a person's question; nothing can be changed by asking.

        Args:
            sql: One statement that reads.
            limit: Most rows to return; None for all.

        Raises:
            InvalidInput: If *sql* is wrong, would write, or takes too long, or if there
                is nothing to ask yet.
            StoreBusy: If the store is not free in time.
        """
        ...

"""A row type laid out as the columns of a table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pandas as pd

from trading_assets.errors import ShapeMismatch
from trading_assets.models.base import Value

SQL_TYPES: Mapping[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    datetime: "TIMESTAMPTZ",
    date: "DATE",
    str: "VARCHAR",
    StrEnum: "VARCHAR",
}
AS_THEY_ARE = {"bool", "int64", "Int64", "float64", "datetime64[ns]"}
"""Types of which a column needs no look: others may hold what its type does not say."""

FRAME_TYPES: Mapping[str, str] = {
    "BOOLEAN": "bool",
    "BIGINT": "int64",
    "DOUBLE": "float64",
    "TIMESTAMPTZ": "datetime64[ns, UTC]",
    "DATE": "datetime64[ns]",
    "VARCHAR": "object",
}


@dataclass(frozen=True)
class Column:
    """A column: its SQL type, and whether it may be empty."""

    sql_type: str
    is_nullable: bool


@dataclass(frozen=True)
class Table:
    """A table: its row type, its key, and the columns that make a partition of it.

    Attributes:
        key: Columns that name a row; no two rows share them and none is empty.
        partition: Columns whose values are replaced together in one write.
        is_open_ended: Columns beyond the row type's are welcome, as DOUBLE.
        wall_clock: Columns that differ from run to run and count in no comparison.
    """

    name: str
    row: type[Value]
    key: tuple[str, ...]
    partition: tuple[str, ...]
    is_open_ended: bool = False
    wall_clock: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """Every declared column, in order."""
        return {
            name: _column(field.annotation) for name, field in self.row.model_fields.items()
        }

    def frame(self, rows: Iterable[Value]) -> pd.DataFrame:
        """Lay *rows* out as a frame of this table's shape."""
        return self.conform(
            pd.DataFrame([row.model_dump() for row in rows], columns=list(self.columns))
        )

    def empty(self) -> pd.DataFrame:
        """A frame of this table's shape without rows."""
        return self.conform(pd.DataFrame(columns=list(self.columns)))

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """*frame* with this table's columns in order and of their types.

        Sessions come as ``datetime64[ns]`` at midnight, instants as UTC.

        Raises:
            ShapeMismatch: If a column is missing or unknown, does not hold its type, is
                empty where it may not be, or if two rows have the same key.
        """
        missing = [name for name in self.columns if name not in frame.columns]
        extra = [str(name) for name in frame.columns if name not in self.columns]
        if missing or (extra and not self.is_open_ended):
            raise ShapeMismatch(
                f"table {self.name}: missing columns {missing}, unknown columns "
                f"{extra if not self.is_open_ended else []}"
            )
        shaped = pd.DataFrame(
            {name: self._cast(frame[name], name) for name in (*self.columns, *extra)}
        ).reset_index(drop=True)
        repeated = shaped.duplicated(list(self.key))
        if repeated.any():
            first = shaped.loc[repeated, list(self.key)].iloc[0].to_dict()
            raise ShapeMismatch(f"table {self.name}: two rows have the key {first}")
        return shaped

    def _cast(self, values: "pd.Series[Any]", name: str) -> "pd.Series[Any]":
        column = self.columns.get(name, Column("DOUBLE", is_nullable=True))
        has_gaps = bool(values.isna().any())
        if has_gaps and not column.is_nullable:
            raise ShapeMismatch(f"table {self.name}: column {name} may not be empty")
        dtype = FRAME_TYPES[column.sql_type]
        if has_gaps and column.sql_type in {"BOOLEAN", "BIGINT"}:
            dtype = {"BOOLEAN": "boolean", "BIGINT": "Int64"}[column.sql_type]
        if column.sql_type == "BIGINT" and column.is_nullable:
            dtype = "Int64"
        try:
            return _cast(values, dtype)
        except (TypeError, ValueError) as error:
            raise ShapeMismatch(
                f"table {self.name}: column {name} must hold {column.sql_type}: {error}"
            ) from error


def _cast(values: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    if values.dtype == dtype and dtype in AS_THEY_ARE:
        return values
    if dtype == "object":
        plain = values.astype(object)
        return plain if plain.notna().all() else plain.where(plain.notna(), None)  # pyright: ignore[reportArgumentType] - None is what an empty cell holds
    if dtype == "datetime64[ns, UTC]":
        return pd.to_datetime(values, utc=True).astype(dtype)
    if dtype == "datetime64[ns]":
        return pd.to_datetime(values).astype(dtype)
    return values.astype(dtype)  # pyright: ignore[reportArgumentType, reportCallIssue] - one of FRAME_TYPES


def _column(annotation: Any) -> Column:  # noqa: ANN401 - whatever a field is declared as
    plain, is_nullable = _without_none(annotation)
    for python, sql in SQL_TYPES.items():
        if isinstance(plain, type) and issubclass(plain, python):
            return Column(sql, is_nullable)
    raise TypeError(f"no column type for {annotation}")


def _without_none(annotation: Any) -> tuple[Any, bool]:  # noqa: ANN401 - as above
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        arms = [arm for arm in get_args(annotation) if arm is not NoneType]
        return _without_none(arms[0])[0], True
    return annotation, False

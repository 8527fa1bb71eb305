"""Two things that Dagster does partition by partition, done for a whole range at once.

- With a lookback of 500 sessions, mapping a year of ten symbols to what they depend on
  takes it twenty seconds in each step. Where dimensions do not depend on each other, the
  keys of each can be mapped together, a thousand times sooner. The answer is the same but
  for lookbacks over sessions, which Dagster at times cuts short by a few where weeks have
  holidays; ours count them all. A process that has not installed it shows Dagster's.
- Metadata for one partition at a time costs a pass over all of them each time.

Written for one version of Dagster; under another its own code runs, right and slow.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.mapping.multi.base import (
    BaseMultiPartitionMapping,
)
from dagster._core.definitions.partitions.mapping.partition_mapping import (
    UpstreamPartitionsResult,
)
from dagster._core.definitions.partitions.subset import (
    AllPartitionsSubset,
    DefaultPartitionsSubset,
    PartitionsSubset,
)
from dagster._core.execution.context.metadata_logging import (
    AssetMetadataHandle,
    OutputMetadataAccumulator,
)

WRITTEN_FOR = "1.13.27"
SECONDS_PER_HOUR = 3600
"""Partitions begin on the hour: within one, there are always the same."""

_KEYS: dict[int, tuple[dg.TimeWindowPartitionsDefinition, int, list[str]]] = {}

_stock = BaseMultiPartitionMapping._get_dependency_partitions_subset  # noqa: SLF001 - the one way in
_stock_keys: Any = dg.OutputContext.asset_partition_keys.fget
_stock_range = dg.MultiPartitionsDefinition.get_partition_keys_in_range

_RANGES: dict[tuple[int, str, str], tuple[dg.MultiPartitionsDefinition, Sequence[str]]] = {}
RANGES_KEPT = 8


def install() -> None:
    """Let every mapping of this process from or to two-dimensional partitions be fast."""
    if dg.__version__ == WRITTEN_FOR:
        # Of the mappings that they have in common, each gets its own.
        for mapping in BaseMultiPartitionMapping.__subclasses__():
            mapping._get_dependency_partitions_subset = _mapped  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue] - as above
        dg.MultiPartitionsDefinition.get_partition_keys_in_range = _keys_in_range
        dg.OutputContext.asset_partition_keys = property(_keys_in_order)  # pyright: ignore[reportAttributeAccessIssue] - as above


def _keys_in_order(self: dg.OutputContext) -> Sequence[str]:
    """What Dagster's property of this name answers, ascending.

    A set has no order of its own, and an asset's page shows what was told last: that is
    to be the last session.
    """
    return sorted(_stock_keys(self))


def _keys_in_range(
    self: dg.MultiPartitionsDefinition,
    partition_key_range: dg.PartitionKeyRange,
    dynamic_partitions_store: Any | None = None,  # noqa: ANN401 - Dagster's signature
) -> Sequence[str]:
    """What Dagster's method of this name answers; a step asks for it several times."""
    asked = (id(self), partition_key_range.start, partition_key_range.end)
    known = _RANGES.get(asked)
    if known is None or known[0] is not self:
        if len(_RANGES) >= RANGES_KEPT:
            _RANGES.clear()
        keys = _stock_range(self, partition_key_range, dynamic_partitions_store)
        known = _RANGES[asked] = (self, keys)
    return known[1]


def add_partition_metadata(
    context: dg.AssetExecutionContext, told: Mapping[str, Mapping[str, Any]]
) -> None:
    """Attach metadata to the partitions of the asset that is being made.

    Args:
        context: Of the step.
        told: Metadata by partition key, each one that the step is asked for.
    """
    if dg.__version__ != WRITTEN_FOR:
        for key, metadata in told.items():
            context.add_asset_metadata(metadata, partition_key=key)
        return
    step: Any = context.op_execution_context._step_execution_context  # noqa: SLF001 - as above
    known = step._metadata_accumulator.per_output_metadata  # noqa: SLF001 - as above
    asset_key = context.asset_key
    added = {
        AssetMetadataHandle(asset_key=asset_key, partition_key=key): dict(metadata)
        for key, metadata in told.items()
    }
    both = {handle: {**known.get(handle, {}), **own} for handle, own in added.items()}
    step._metadata_accumulator = OutputMetadataAccumulator(  # noqa: SLF001 - as above
        per_output_metadata={**known, **both}
    )


class _Dimension(NamedTuple):
    """One dimension of the keys that are mapped, and what it becomes.

    Attributes:
        name: Of the dimension; None where there is only one.
        is_downward: Whether from upstream to downstream.
    """

    mapping: dg.PartitionMapping
    name: str | None
    from_def: dg.PartitionsDefinition
    to_name: str | None
    to_def: dg.PartitionsDefinition
    is_downward: bool

    def mapped(self, keys: Iterable[str]) -> tuple[list[str], set[str]]:
        """Keys of the other side that belong to *keys*, and those it does not have."""
        if (days := self._days()) is not None:
            return days.mapped(keys), set()
        subset = self.from_def.empty_subset().with_partition_keys(keys)
        if self.is_downward:
            down = self.mapping.get_downstream_partitions_for_partitions(
                subset, self.from_def, self.to_def
            )
            return list(down.get_partition_keys()), set()
        up = self.mapping.get_upstream_mapped_partitions_result_for_partitions(
            subset, self.from_def, self.to_def
        )
        absent = up.required_but_nonexistent_subset.get_partition_keys()
        return list(up.partitions_subset.get_partition_keys()), set(absent)

    def _days(self) -> "_Days | None":
        """How days are mapped to days of the same calendar; None if they are not."""
        mapping, from_def, to_def = self.mapping, self.from_def, self.to_def
        if (
            not isinstance(mapping, dg.TimeWindowPartitionMapping)
            or not mapping.allow_nonexistent_upstream_partitions
            or not isinstance(from_def, dg.TimeWindowPartitionsDefinition)
            or not isinstance(to_def, dg.TimeWindowPartitionsDefinition)
        ):
            return None
        shorter, longer = sorted((_keys_of(from_def), _keys_of(to_def)), key=len)
        if not shorter or longer[-len(shorter) :] != shorter:
            return None
        offsets = (mapping.start_offset, mapping.end_offset)
        first, last = (-offsets[1], -offsets[0]) if self.is_downward else offsets
        return _Days(longer, len(longer) - len(_keys_of(to_def)), first, last)


class _Days(NamedTuple):
    """Days of one calendar, of which one definition has all and another the later ones.

    Attributes:
        start: Where the days of the definition that is mapped to begin.
        first: Offset of the first day that belongs to a day.
        last: Offset of the last one.
    """

    calendar: Sequence[str]
    start: int
    first: int
    last: int

    def mapped(self, keys: Iterable[str]) -> list[str]:
        """Days that belong to any of *keys*, ascending."""
        wanted: set[int] = set()
        for key in keys:
            at = bisect_left(self.calendar, key)
            wanted.update(range(at + self.first, at + self.last + 1))
        end = len(self.calendar)
        return [self.calendar[at] for at in sorted(wanted) if self.start <= at < end]


def _keys_of(partitions_def: dg.TimeWindowPartitionsDefinition) -> list[str]:
    """Keys that exist now; listing years of them takes longer than all that follows."""
    with partition_loading_context() as context:
        hour = int(context.effective_dt.timestamp() // SECONDS_PER_HOUR)
        known = _KEYS.get(id(partitions_def))
        if known is None or known[0] is not partitions_def or known[1] != hour:
            keys = list(partitions_def.get_partition_keys())
            known = _KEYS[id(partitions_def)] = (partitions_def, hour, keys)
        return known[2]


def _mapped(
    self: BaseMultiPartitionMapping,
    a_partitions_def: dg.PartitionsDefinition,
    a_partitions_subset: PartitionsSubset,
    b_partitions_def: dg.PartitionsDefinition,
    a_upstream_of_b: bool,  # noqa: FBT001 - Dagster's signature
) -> UpstreamPartitionsResult | PartitionsSubset:
    """What Dagster's method of this name answers, found dimension by dimension."""
    if isinstance(a_partitions_subset, AllPartitionsSubset):
        return _stock(
            self, a_partitions_def, a_partitions_subset, b_partitions_def, a_upstream_of_b
        )
    dimensions = _dimensions(self, a_partitions_def, b_partitions_def, a_upstream_of_b)
    keys: set[str] = set()
    missing: set[str] = set()
    everything = _every_key_of(b_partitions_def, {own.to_name for own in dimensions})
    asked = a_partitions_subset.get_partition_keys()
    for rectangle in _rectangles(a_partitions_def, asked):
        sides = dict(everything)
        for dimension in dimensions:
            found, absent = dimension.mapped(rectangle[dimension.name])
            sides[dimension.to_name] = found
            missing |= absent
        # Dimensions come in the order in which a key writes them.
        keys.update("|".join(key) for key in product(*sides.values()))
    found_keys = b_partitions_def.empty_subset().with_partition_keys(keys)
    if a_upstream_of_b:
        return found_keys
    return UpstreamPartitionsResult(
        partitions_subset=found_keys,
        required_but_nonexistent_subset=DefaultPartitionsSubset(missing),
    )


def _dimensions(
    mapping: BaseMultiPartitionMapping,
    from_def: dg.PartitionsDefinition,
    to_def: dg.PartitionsDefinition,
    is_downward: bool,  # noqa: FBT001 - as above
) -> list[_Dimension]:
    """How each dimension of *from_def* is mapped that has one to be mapped to."""
    up_def, down_def = (from_def, to_def) if is_downward else (to_def, from_def)
    found: list[_Dimension] = []
    for own in mapping.get_dimension_dependencies(up_def, down_def):
        up, down = own.upstream_dimension_name, own.downstream_dimension_name
        name, to_name = (up, down) if is_downward else (down, up)
        found.append(
            _Dimension(
                own.partition_mapping,
                name,
                mapping.get_partitions_def(from_def, name),
                to_name,
                mapping.get_partitions_def(to_def, to_name),
                is_downward,
            )
        )
    return found


def _every_key_of(
    partitions_def: dg.PartitionsDefinition, mapped: set[str | None]
) -> dict[str | None, Sequence[str]]:
    """All keys of each dimension that is not *mapped*, and none yet of those that are."""
    if not isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return {None: []}
    return {
        own.name: [] if own.name in mapped else own.partitions_def.get_partition_keys()
        for own in partitions_def.partitions_defs
    }


def _rectangles(
    partitions_def: dg.PartitionsDefinition, keys: Iterable[str]
) -> Iterator[dict[str | None, Sequence[str]]]:
    """*keys* as products of their dimensions' keys; a range is one of them."""
    if not isinstance(partitions_def, dg.MultiPartitionsDefinition):
        yield {None: list(keys)}
        return
    first_name, second_name = (own.name for own in partitions_def.partitions_defs)
    seconds: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        first, _, second = key.partition("|")
        seconds[first].append(second)
    firsts: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for first, own in seconds.items():
        firsts[tuple(sorted(own))].append(first)
    for own, of in firsts.items():
        yield {first_name: of, second_name: own}

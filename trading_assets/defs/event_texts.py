"""Events as Dagster serialises them; what neighbours have in common is serialised once.

The materializations of one output differ in their partition, its tags, the numbers told
of it and the instant. All the rest is most of the work, and the same for every one.
"""

import json
from math import isfinite

import dagster as dg
from dagster import EventLogEntry
from dagster._core.events import StepMaterializationData
from dagster._serdes import serialize_value

OWN_OF_EVENT = '"event_specific_data": null'
INSTANT = '"timestamp": 0.0'
OWN_OF_MATERIALIZATION = '"metadata_entries": [], "partition": null, "tags": {}'


class EventTexts:
    """Writes events, one after the other; fastest where neighbours are of one output."""

    def __init__(self) -> None:
        self._event: EventLogEntry | None = None
        self._around_event = ("", "", "")
        self._data: StepMaterializationData | None = None
        self._around_data = ("", "")

    def text(self, event: EventLogEntry) -> str:
        """The same text as `serialize_value` of *event*."""
        of_dagster = event.dagster_event
        if of_dagster is None or not of_dagster.is_step_materialization:
            return serialize_value(event)
        shared = event._replace(
            timestamp=0.0, dagster_event=of_dagster._replace(event_specific_data=None)
        )
        if shared != self._event:
            self._event, self._around_event = shared, _around_event(shared)
        before, between, after = self._around_event
        own = self._data_text(of_dagster.step_materialization_data)
        return f"{before}{own}{between}{float.__repr__(event.timestamp)}{after}"

    def _data_text(self, data: StepMaterializationData) -> str:
        made = data.materialization
        shared = data._replace(
            materialization=made._replace(metadata={}, partition=None, tags={})
        )
        if shared != self._data:
            self._data, self._around_data = shared, _around_data(shared)
        before, after = self._around_data
        entries = ", ".join(_entry(name, value) for name, value in made.metadata.items())
        partition, tags = json.dumps(made.partition), json.dumps(made.tags, sort_keys=True)
        return (
            f'{before}"metadata_entries": [{entries}], "partition": {partition}, '
            f'"tags": {tags}{after}'
        )


def _around_event(shared: EventLogEntry) -> tuple[str, str, str]:
    # Quotes inside of values are escaped, so neither pattern can be in one.
    before, key, rest = serialize_value(shared).partition(OWN_OF_EVENT)
    between, last_key, after = rest.rpartition(INSTANT)
    return (
        before + key.removesuffix("null"),
        between + last_key.removesuffix("0.0"),
        after,
    )


def _around_data(shared: StepMaterializationData) -> tuple[str, str]:
    before, _, after = serialize_value(shared).partition(OWN_OF_MATERIALIZATION)
    return before, after


def _entry(name: str, value: dg.MetadataValue) -> str:
    return (
        '{"__class__": "EventMetadataEntry", "description": null, '
        f'"entry_data": {_value(value)}, "label": {json.dumps(name)}}}'
    )


def _value(value: dg.MetadataValue) -> str:
    match value:
        case dg.FloatMetadataValue(number) if number is not None and isfinite(number):
            written = float.__repr__(number)
            return f'{{"__class__": "FloatMetadataEntryData", "value": {written}}}'
        case dg.IntMetadataValue(number) if number is not None:
            written = int.__repr__(number)
            return f'{{"__class__": "IntMetadataEntryData", "value": {written}}}'
        case dg.TextMetadataValue(text):
            written = json.dumps(text)
            return f'{{"__class__": "TextMetadataEntryData", "text": {written}}}'
        case _:
            return serialize_value(value)  # pyright: ignore[reportArgumentType] - it packs them all

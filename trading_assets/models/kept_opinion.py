"""An opinion that was paid for: it stands until somebody asks anew."""

from dataclasses import dataclass

from trading_assets.models.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOpinion:
    """What models have made of one symbol at one session's close.

    Attributes:
        signal: The row it became, to the last bit.
        call_ids: Of every call that led to it, in the order they were asked.
        version_hash: Of the analyst that asked.
        run_id: Of the run that asked; empty for none.
    """

    signal: Signal
    call_ids: tuple[str, ...]
    version_hash: str
    run_id: str

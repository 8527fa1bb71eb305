"""What asking costs, from the price list that ``genai-prices`` ships.

Nothing is downloaded. A cost is worked out once, when it is known what was used, and kept
with the version of the list; prices change. Servers of ``compatible/…`` models are taken to
be one's own, and cost nothing.
"""

import struct
from functools import cache, lru_cache
from importlib.metadata import version

from trading_assets.errors import InvalidInput
from trading_assets.models.question import Image, Provider, Question, Usage

FREE = "free/unknown"
"""Price version of what costs nothing as far as we know."""

PIXELS_PER_TOKEN = 700
"""Fewer than either provider was seen to take, so that there are more tokens than real."""

CHARACTERS_PER_TOKEN = 3
"""Of prose rather four; tables of numbers come close to two."""

FEWEST_CHARACTERS_PER_TOKEN = 2
TOKEN_STEP = 100
"""What could be spent at most is worked out once for questions of about one length."""

TYPICAL_OUTPUT_TOKENS = 1500
PNG_SIZE = struct.Struct(">16x II")
OF_UNKNOWN_SIZE = 3000  # tokens


def price_version(model: str) -> str:
    """Which price list *model*'s costs are from."""
    return FREE if _is_free(model) else f"genai-prices {_list_version()}"


@cache
def _list_version() -> str:
    return version("genai-prices")


def cost_usd(model: str, usage: Usage, *, is_batch: bool = False) -> float:
    """What *usage* costs.

    Args:
        model: Who is asked, ``provider/model``.
        usage: As the provider counts it.
        is_batch: Whether it is asked in a batch, at a discount.

    Raises:
        InvalidInput: If no price of *model* is known.
    """
    if _is_free(model):
        return 0.0
    # Half a second, and not needed by those who only read the ledger.
    from genai_prices import Usage as Used  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415

    used = Used(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    provider, _, name = model.partition("/")
    context = {"processing": "batch"} if is_batch else None
    try:
        price = calc_price(used, name, provider_id=provider, price_context=context)  # type: ignore[arg-type]
    except LookupError as error:
        raise InvalidInput(
            f"model {model}: {price_version(model)} has no price of it, so no budget could "
            "be kept; allowed are models with a known price, or compatible/… for a server "
            "that costs nothing"
        ) from error
    return float(price.total_price)


def most_usd(question: Question, model: str, *, is_batch: bool = False) -> float:
    """What *question* could cost at most: all of it new to the cache, and a full answer.

    Raises:
        InvalidInput: If no price of *model* is known.
    """
    tokens = _input_tokens(question, FEWEST_CHARACTERS_PER_TOKEN)
    steps = -(-tokens // TOKEN_STEP)
    return _most_usd(model, steps * TOKEN_STEP, question.max_tokens, is_batch=is_batch)


@lru_cache(maxsize=256)
def _most_usd(model: str, tokens: int, output_tokens: int, *, is_batch: bool) -> float:
    usage = Usage(
        input_tokens=tokens, cache_write_tokens=tokens, output_tokens=output_tokens
    )
    return cost_usd(model, usage, is_batch=is_batch)


def expected_usd(
    question: Question,
    model: str,
    *,
    output_tokens: int = TYPICAL_OUTPUT_TOKENS,
    is_batch: bool = False,
) -> float:
    """What *question* is likely to cost.

    Args:
        question: What would be asked.
        model: Whom.
        output_tokens: Of a likely answer, thinking included.
        is_batch: Whether it would be asked in a batch.

    Raises:
        InvalidInput: If no price of *model* is known.
    """
    usage = Usage(
        input_tokens=input_tokens(question),
        output_tokens=min(output_tokens, question.max_tokens),
    )
    return cost_usd(model, usage, is_batch=is_batch)


def input_tokens(question: Question) -> int:
    """How many tokens *question* is likely to have."""
    return _input_tokens(question, CHARACTERS_PER_TOKEN)


def _input_tokens(question: Question, characters_per_token: int) -> int:
    texts = [question.system, question.task, question.schema]
    texts += [it.label if isinstance(it, Image) else it for it in question.shared]
    characters = sum(map(len, texts))
    pictures = sum(_image_tokens(it.png[: PNG_SIZE.size]) for it in question.images)
    return characters // characters_per_token + 1 + pictures


@lru_cache(maxsize=64)
def _image_tokens(head: bytes) -> int:
    """Tokens of a picture, by the first bytes of its PNG."""
    if len(head) < PNG_SIZE.size or not head.startswith(b"\x89PNG"):
        return OF_UNKNOWN_SIZE
    width, height = PNG_SIZE.unpack(head)
    return -(-width * height // PIXELS_PER_TOKEN)


def _is_free(model: str) -> bool:
    return model.partition("/")[0] == Provider.COMPATIBLE

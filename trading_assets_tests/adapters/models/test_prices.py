import pytest

from trading_assets.adapters.models.access import Access, ApiKey, KeyPool, accesses
from trading_assets.adapters.models.prices import (
    cost_usd,
    expected_usd,
    input_tokens,
    most_usd,
    price_version,
)
from trading_assets.errors import InvalidInput
from trading_assets.models.question import Image, Provider, Usage
from trading_assets_tests.adapters.models.desks import (
    ANTHROPIC,
    COMPATIBLE,
    OPENAI,
    make_png,
    make_question,
)

MILLION = 1_000_000


def test_a_million_tokens_cost_what_the_list_says() -> None:
    sonnet = "anthropic/claude-sonnet-5-5"

    assert cost_usd(sonnet, Usage(output_tokens=MILLION)) == pytest.approx(10.0)
    assert cost_usd(sonnet, Usage(input_tokens=MILLION)) == pytest.approx(2.0)
    assert cost_usd(sonnet, Usage(output_tokens=MILLION), is_batch=True) == pytest.approx(
        5.0
    )


def test_what_is_read_from_the_cache_is_cheaper_and_what_is_written_dearer() -> None:
    plain = cost_usd(ANTHROPIC, Usage(input_tokens=10_000))

    assert cost_usd(ANTHROPIC, Usage(input_tokens=10_000, cache_read_tokens=9000)) < plain
    assert cost_usd(ANTHROPIC, Usage(input_tokens=10_000, cache_write_tokens=9000)) > plain


def test_a_server_of_ones_own_costs_nothing_and_says_so() -> None:
    assert cost_usd(COMPATIBLE, Usage(input_tokens=MILLION)) == 0.0
    assert price_version(COMPATIBLE) == "free/unknown"
    assert price_version(OPENAI).startswith("genai-prices 0.")


def test_a_model_without_a_price_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"openai/nobody: genai-prices .* no price"):
        most_usd(make_question(), "openai/nobody")


@pytest.mark.parametrize("model", [ANTHROPIC, OPENAI])
def test_the_most_is_more_than_the_expected_and_grows_with_the_answer(model: str) -> None:
    small, large = make_question(max_tokens=2000), make_question(max_tokens=20_000)

    assert expected_usd(small, model) < most_usd(small, model)
    assert expected_usd(small, model) == expected_usd(large, model)
    assert most_usd(small, model) < most_usd(large, model)
    assert most_usd(small, model, is_batch=True) < most_usd(small, model)


@pytest.mark.parametrize(
    ("width", "height", "seen"), [(1280, 720, 1273), (1920, 1080, 2768)]
)
def test_pictures_count_for_at_least_as_many_tokens_as_were_seen(
    width: int, height: int, seen: int
) -> None:
    bare = input_tokens(make_question(shared=()))
    shown = make_question(shared=(Image("", make_png(width, height)),))

    assert seen < input_tokens(shown) - bare < 1.2 * seen


def test_what_is_no_png_counts_as_a_large_picture() -> None:
    assert input_tokens(make_question(shared=(Image("", b"no picture"),))) > 3000


def test_keys_are_read_from_a_list_and_shown_by_their_hash() -> None:
    access = Access.of(" sk-one , sk-two,,sk-one ", "https://user:secret@host.example/v1/")

    assert [it.secret for it in access.keys] == ["sk-one", "sk-two"]
    assert access.base_url == "https://user:secret@host.example/v1"
    shown = repr(access) + repr(access.keys)
    assert access.keys[0].key_id in shown
    assert "host.example" in shown
    assert not any(it in shown for it in ("sk-one", "sk-two", "secret@"))


def test_an_address_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidInput) as raised:
        Access.of("", "ftp://secret")

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("key", ["sk-“1234567”", "sk-12\x0034567", "sk-\N{BULLET}1234567"])
def test_what_can_be_no_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="a key of models") as raised:
        Access.of(f"sk-good-1234567,{key}")

    assert "1234567" not in str(raised.value)


@pytest.mark.parametrize(
    "variable", ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "COMPATIBLE_API_KEY"]
)
def test_what_can_be_no_key_is_named_by_its_variable(variable: str) -> None:
    with pytest.raises(InvalidInput, match=f"{variable} has a character"):
        accesses({variable: "sk-“1234567”"})


def test_keys_may_stand_on_lines_of_their_own() -> None:
    assert Access.of("sk-one\nsk-two\n") == Access.of("sk-one, sk-two")


def test_a_compatible_server_falls_back_to_openai_and_takes_its_key_only_there() -> None:
    openai = {"OPENAI_API_KEY": "sk-open", "OPENAI_BASE_URL": "http://one/v1"}
    own = openai | {"COMPATIBLE_BASE_URL": "http://two/v1"}

    fallen_back = accesses(openai)[Provider.COMPATIBLE]
    apart = accesses(own)[Provider.COMPATIBLE]

    assert fallen_back == Access.of("sk-open", "http://one/v1")
    assert apart == Access.of("", "http://two/v1")
    keyed = accesses(own | {"COMPATIBLE_API_KEY": "sk-two"})[Provider.COMPATIBLE]
    assert keyed == Access.of("sk-two", "http://two/v1")
    assert accesses({})[Provider.ANTHROPIC] == Access()


def test_a_pool_uses_one_key_until_it_is_refused() -> None:
    one, two = ApiKey("sk-one"), ApiKey("sk-two")
    pool = KeyPool((one, two))

    assert pool.current is one
    pool.refuse(one)
    assert pool.current is two
    pool.refuse(two)
    assert pool.current is None
    assert pool.scrubbed(b"you sent sk-two") == f"you sent <key {two.key_id}>".encode()


def test_a_word_in_the_place_of_a_key_is_left_in_the_text() -> None:
    pool = KeyPool((ApiKey("x"),))

    assert pool.scrubbed(b'{"text": "exact"}') == b'{"text": "exact"}'

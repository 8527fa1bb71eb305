"""The picture of an analyst's record: the same inputs, the same bytes, and never empty."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from trading_assets.core.calibration import Calibration, calibration_of
from trading_assets.core.calibration_picture import calibration_picture
from trading_assets_tests.core.test_calibration import make_outcomes


def record(count: int, *, is_out_of_sample: object = True) -> Calibration:
    random = np.random.default_rng(3)
    outcomes = make_outcomes(
        count,
        confidence_score=random.uniform(0, 100, count),
        net_return_frac=random.normal(0, 0.02, count),
        is_out_of_sample=is_out_of_sample,
    )
    return calibration_of(outcomes, {"always_hold": outcomes, "sma_cross": outcomes[:0]})


def pixels(picture: bytes) -> Image.Image:
    with Image.open(BytesIO(picture)) as image:
        assert image.size == (1600, 900)
        return image.convert("RGB")


def colours(picture: bytes) -> set[tuple[int, ...]]:
    return {colour for _, colour in pixels(picture).getcolors(2**24) or ()}


CLEAN = (0x1C, 0x5F, 0xA8)


def test_the_same_record_gives_the_same_bytes() -> None:
    found = record(300)

    pictures = {calibration_picture(found, title="$one") for _ in range(2)}

    assert len(pictures) == 1
    assert CLEAN in colours(pictures.pop())


def test_what_is_contaminated_is_never_drawn_as_clean() -> None:
    assert CLEAN not in colours(
        calibration_picture(record(300, is_out_of_sample=False), title="one")
    )


def test_what_is_contaminated_changes_the_picture_of_what_is_clean() -> None:
    known = np.arange(300) % 2 == 0
    both = calibration_picture(record(300, is_out_of_sample=known), title="one")

    assert CLEAN in colours(both)
    assert both != calibration_picture(record(300), title="one")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_little_or_nothing_can_be_drawn(count: int) -> None:
    pixels(calibration_picture(record(count), title="one"))

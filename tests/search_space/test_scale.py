import re
from dataclasses import fields

import pytest

from search_space import ModelScale

NUMBERS = [field.name for field in fields(ModelScale) if field.type in (int, float)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_repeats": 0}, "block_repeats must be from 1 to 32 (SpineNet-190 has 4), got 0"),
        ({"image_size_px": 16}, "image_size_px must be from 32 to 8192 (an image of 8192 px takes 200 MB), got 16"),
        ({"stem_width": 0}, "stem_width must be from 1 to 8192 (every published network has 64), got 0"),
        ({"anchor_scale": 0.0}, "anchor_scale must be from 0.01 to 64 ("),
        ({"width_multiplier": 0.01}, "width_multiplier 0.01 with resample_alpha 0.5 leaves a level-1 block no channel"),
        (
            {"width_multiplier": float("nan")},
            "width_multiplier must be from 0.001 to 16 (SpineNet-190 has 1.3), got nan",
        ),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be from 0 to below 1, got 1.0"),
        ({"activation": "gelu"}, "activation must be relu or silu, got 'gelu'"),
    ],
)
def test_impossible_scale_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ModelScale(**changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("absurd", [2**62, 1e300, -1e300, float("nan")])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_of_a_scale_has_bounds(name: str, absurd: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be from ") as caught:
        ModelScale(**{name: absurd})  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)

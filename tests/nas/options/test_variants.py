"""Lists of overrides as a command line and YAML have them."""

import pytest

from foundation import InputError
from nas.options.variants import override_list


@pytest.mark.parametrize(
    ("value", "overrides"),
    [
        (None, ()),
        ("[]", ()),
        ((), ()),
        ("[fidelity.epochs=12]", ("fidelity.epochs=12",)),
        ("fidelity.epochs=12", ("fidelity.epochs=12",)),
        ("[scale=tiny, fidelity.epochs=1]", ("scale=tiny", "fidelity.epochs=1")),
        ("[space.kinds=[a,b],limits={macs:1,params:2}]", ("space.kinds=[a,b]", "limits={macs:1,params:2}")),
        ("[data.root='a,b',scale=tiny]", ("data.root='a,b'", "scale=tiny")),
        (("scale=tiny", "recipe=short"), ("scale=tiny", "recipe=short")),
    ],
)
def test_overrides_are_cut_at_the_commas_between_them(
    value: str | tuple[str, ...] | None, overrides: tuple[str, ...]
) -> None:
    assert override_list(value, "target") == overrides


@pytest.mark.parametrize("value", ["[tiny]", "[=3]", "[-v]", ("fidelity.epochs",)])
def test_what_is_no_override_is_one_line(value: str | tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"target: needs overrides as \[fidelity.epochs=12,scale=tiny\], or null"):
        override_list(value, "target")

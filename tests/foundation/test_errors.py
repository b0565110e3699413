"""A user's mistake, as Python and notebooks show it."""

from foundation import InputError


def test_ipython_shows_the_line_of_a_mistake_and_no_traceback() -> None:
    assert InputError("num_trials: needs a\nnumber")._render_traceback_() == ["InputError: num_trials: needs a number"]

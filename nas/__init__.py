"""The search itself: controller, space and proxy task brought together, on record, on one machine or many."""

from typing import TYPE_CHECKING, Any

from nas.own_packages import check_own_packages

if TYPE_CHECKING:
    from nas.python.run import Run

__all__ = ["Run"]

check_own_packages()


def __getattr__(name: str) -> type[Any]:
    """Import `Run` when Python asks for it: commands do without."""
    from foundation import lazy_class

    return lazy_class(__name__, {"Run": "python.run"}, name)

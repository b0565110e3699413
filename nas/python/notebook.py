"""The notebook that Python may run in: what it shows beside the value of a cell."""

import os
import sys
from pathlib import Path


def show_page(path: Path) -> None:
    """Show a page below the cell that is running; nothing where this is no notebook."""
    if not _is_kernel():
        return
    from IPython.display import IFrame, display

    # Jupyter serves files below the notebook, by their paths from there.
    display(IFrame(os.path.relpath(path), width="100%", height=600))  # type: ignore[no-untyped-call]  # IPython leaves it so


def _is_kernel() -> bool:
    """Return whether this process runs the cells of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")

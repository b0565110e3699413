"""The notebook that Python may run in: what it shows beside the value of a cell."""

import os
from pathlib import Path
from urllib.parse import quote

from nas.terminal.console import is_in_kernel


def show_page(path: Path) -> None:
    """Show a page below the cell that is running; nothing where this is no notebook."""
    if not is_in_kernel():
        return
    from IPython.display import IFrame, display

    # Jupyter serves files below the notebook, by their paths from there.
    display(IFrame(quote(os.path.relpath(path)), width="100%", height=600))  # type: ignore[no-untyped-call]  # IPython leaves it so

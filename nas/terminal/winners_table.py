"""The table of winners: what came of the best of a search, trained in full."""

from collections.abc import Iterable

from rich.table import Table


def winners_table(rows: Iterable[tuple[str, ...]], title: str) -> Table:
    """Return a table of trainings, in the order of the search.

    Args:
        rows: of each its name, its reward in the search, its AP, and its folder.
        title: of the table.
    """
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("architecture")
    table.add_column("reward in the search", justify="right")
    table.add_column("AP", justify="right")
    table.add_column("folder", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

"""The table of winners: what came of the best of a search, trained in full."""

from collections.abc import Iterable

from rich.table import Table


def winners_table(rows: Iterable[tuple[str, ...]], title: str, figure: str) -> Table:
    """Return a table of trainings, in the order of the search.

    Args:
        rows: of each its name, its reward in the search, its highest figure, and its folder.
        title: of the table.
        figure: what that figure is, as AP.
    """
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("architecture")
    table.add_column("reward in the search", justify="right")
    table.add_column(figure, justify="right")
    table.add_column("folder", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

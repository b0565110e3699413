"""The section of the best architectures on the page of a report."""

from collections.abc import Sequence
from html import escape

from nas.reporting.cards import cards_html
from nas.reporting.markup import details, note, section, table_of
from nas.reporting.ranked import RankedArchitecture, ReportRanking, mean_texts
from search_space.spec import short_key


def best_section(ranking: ReportRanking, top: int, *, names_run: bool) -> str:
    """Return the section: what seeds leave open, the cards, and a table of what was replayed."""
    line = ranking.line(top)
    parts = [note(line)] if line else []
    parts.append(cards_html(ranking.architectures[:top], names_run=names_run))

    # Only the best have a card.
    is_single = [one.row.replayed is None for one in ranking.architectures if one.row.standing == "may be as good"]
    if any(is_single):
        parts.append(note(f"Trained once and not shown to be worse than the best: {sum(is_single)} architectures."))

    replayed = [one for one in ranking.architectures if one.row.replayed is not None]
    if replayed:
        parts.append(details(f"All {len(replayed)} that were replayed", _replayed_table(replayed)))
    return section("Best architectures", *parts)


def _replayed_table(replayed: Sequence[RankedArchitecture]) -> str:
    heads = ("architecture", "rank", "mean", "deviation over seeds", "trainings", "reward in the search", "standing")
    return table_of(heads, [_replayed_row(one) for one in replayed], numbers_from=1)


def _replayed_row(ranked: RankedArchitecture) -> str:
    row = ranked.row
    name = f"{row.run}, trial {row.trial.number}" if row.run else f"trial {row.trial.number}"
    figures = (*mean_texts(row.replayed), f"{row.trial.reward:.4f}", row.standing)

    numbers = "".join(f'<td class="number">{text}</td>' for text in (f"{ranked.rank}", *figures))
    return f"<tr><td>{escape(name)} {short_key(row.trial.key)}</td>{numbers}</tr>"

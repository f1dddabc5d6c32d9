"""The ledger in one bar, a row of it as cells, and a search over its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from companion.figures.formulas import typeset
from companion.pages import render

__all__ = [
    "MARKS",
    "Html",
    "badge",
    "counted",
    "ledger_filter",
    "ledger_row",
    "place_in_paper",
    "status_bar",
    "verdict_cards",
]

# What tells the statuses apart where colour does not.
MARKS = {
    "verified": "✓",
    "reproduced": "✓",
    "within noise": "≈",
    "cannot tell": "?",
    "differs": "✗",
    "not yet run": "–",
}


@dataclass(frozen=True, repr=False)
class Html:
    """A piece of HTML that a notebook shows; IPython is no need of who only draws figures."""

    html: str

    def __repr__(self) -> str:
        return "<HTML>"  # what it shows would be stored a second time, as text

    def _repr_html_(self) -> str:
        return self.html


def status_bar(counts: Mapping[str, int], subject: str) -> Html:
    """Return a bar with a part for each status, as wide as its share, and its number in it.

    Parameters
    ----------
    counts : mapping of str to int
        Status to number of rows, in the order of the bar; a status without rows is left out.
    subject : str
        What is counted, for those who hear the bar.
    """
    there = {status: count for status, count in counts.items() if count}
    return Html(render("statuses.html", counts=there, subject=subject))


def badge(status: str) -> Markup:
    """Return a status in its colour, for a cell of a table."""
    return Markup('<span class="status-{}">{}</span>').format(status.replace(" ", "-"), status)


def counted(what: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Return what rows are about and how many of them have each status: what a fold is called."""
    found = Counter(row["status"] for row in rows)
    told = [(s.replace(" ", "-"), MARKS[s], found[s], s) for s in MARKS if found[s]]
    badges = Markup(" ").join(
        Markup('<span class="status-{}">{} {} {}</span>').format(*one) for one in told
    )
    return Markup("{}, {} row{} {}").format(what, len(rows), "s" * (len(rows) > 1), badges)


def ledger_filter(statuses: Sequence[str]) -> Html:
    """Return a search field and a button for each status, for the rows that have an address.

    Without JavaScript it stays hidden, and every row is there.
    """
    return Html(render("filter.html", statuses=statuses))


def ledger_row(row: Mapping[str, Any], *, address: bool = False) -> tuple[Markup, Markup, Markup]:
    """Return statement, status and evidence of a row of the ledger.

    Parameters
    ----------
    row : mapping
        As :func:`companion.claims.assess` returns it.
    address : bool
        Whether links to the row come here: of all the lists of a page, one may say so.
    """
    page, mark, anchor = row["chapter"].partition("#")
    place = Markup(' id="row-{}"').format(row["id"]) if address else ""
    what = Markup('{}<br><a href="{}.html{}{}"><code{}>{}</code></a> {}').format(
        typeset(row["statement"]), page, mark, anchor, place, row["id"], row["kind"]
    )
    text, found, command = row["evidence"].rpartition("psl ")
    if row["status"].startswith("not ") and found:
        return what, badge(row["status"]), Markup("{}<code>psl {}</code>").format(text, command)
    return what, badge(row["status"]), Markup("{}").format(row["evidence"])


def verdict_cards(rows: Iterable[Mapping[str, Any]]) -> Html:
    """Return a card for each row: what is said, what was found, how sure that is, and where.

    Parameters
    ----------
    rows : iterable of mapping
        As :func:`companion.claims.assess` returns them; few, for each is a card.
    """
    return Html(render("cards.html", marks=MARKS, rows=[_card(row) for row in rows]))


def _card(row: Mapping[str, Any]) -> dict[str, Any]:
    page, mark, anchor = row["chapter"].partition("#")
    link = Markup('<a href="{}.html{}{}">{}</a>,').format(
        page, mark, anchor, f"Chapter {int(page.partition('-')[0])}"
    )
    runs = len(row["runs"])
    sure = f"{runs} recorded runs; " if runs else "Computed, without a run; tolerance: "
    told = {"sure": f"{sure}{row['tolerance_source']}.", "chapter": link}
    told |= {"statement": typeset(row["statement"]), "place": place_in_paper(row["section"])}
    return {**row, **told}


def place_in_paper(section: str) -> str:
    """Write where in the paper a row of the ledger stands: ``A.3`` as ``Appendix A.3``."""
    if section.startswith("Fig."):
        return section.replace("Fig.", "Figure")
    return f"{'Appendix' if section[0].isalpha() else 'Section'} {section}"

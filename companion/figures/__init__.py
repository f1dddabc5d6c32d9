"""Figures of the book: tables and arrays in, a matplotlib figure out.  Drawing never computes.

Nothing here trains, evaluates or derives; the caller displays or saves the figure it gets.  Lines
carry their names at their ends, so no figure needs colour alone to be read.
"""

from companion.figures.benchmark import searched
from companion.figures.drawings import flow, simplex
from companion.figures.dynamics import tightness, weight_over_epochs
from companion.figures.gain_matrix import gain_matrix
from companion.figures.paper_tables import paper_tables
from companion.figures.results import by_seed, compare, differences, over
from companion.figures.robustness import gaps, paths, temperatures, tilts
from companion.figures.speed import scaling, ways
from companion.figures.statuses import (
    badge,
    counted,
    ledger_filter,
    ledger_row,
    place_in_paper,
    status_bar,
    verdict_cards,
)
from companion.figures.style import COLOURS, use_style
from companion.figures.tabular import (
    Tabular,
    checked,
    gain_table,
    overview_table,
    tabular,
    value_table,
)
from companion.figures.theory import (
    activations,
    budget,
    chain,
    lines,
    pair_weights,
    weights,
)
from companion.figures.training import learning_curves, popularity, scalars
from companion.names import LABELS, metric_name

__all__ = [
    "COLOURS",
    "LABELS",
    "Tabular",
    "activations",
    "badge",
    "budget",
    "by_seed",
    "chain",
    "checked",
    "compare",
    "counted",
    "differences",
    "flow",
    "gain_matrix",
    "gain_table",
    "gaps",
    "learning_curves",
    "ledger_filter",
    "ledger_row",
    "lines",
    "metric_name",
    "over",
    "overview_table",
    "pair_weights",
    "paper_tables",
    "paths",
    "place_in_paper",
    "popularity",
    "scalars",
    "scaling",
    "searched",
    "simplex",
    "status_bar",
    "tabular",
    "temperatures",
    "tightness",
    "tilts",
    "use_style",
    "value_table",
    "verdict_cards",
    "ways",
    "weight_over_epochs",
    "weights",
]

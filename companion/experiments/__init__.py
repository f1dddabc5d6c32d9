"""The paper's grid as data: what run stands behind a cell of a table.

A *cell* is one run and what the papers print for it; an *experiment* is a set of cells under a
name, as ``psl run`` takes it.  Nothing here trains.
"""

from companion.experiments.config import cell, cell_command, cell_runs, plain_command
from companion.experiments.grid import AXES, EXPERIMENTS, Cell, cells, count_values
from companion.experiments.questions import Question, questions, without_fresh

__all__ = [
    "AXES",
    "EXPERIMENTS",
    "Cell",
    "Question",
    "cell",
    "cell_command",
    "cell_runs",
    "cells",
    "count_values",
    "plain_command",
    "questions",
    "without_fresh",
]

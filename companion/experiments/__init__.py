"""The paper's grid as data: what run stands behind a cell of a table.

A *cell* is one run and what the papers print for it; an *experiment* is a set of cells under a
name, as ``psl run`` takes it.  Nothing here trains.  A sweep of one's own, a YAML file, is read by
``sweep_file`` and becomes cells in ``own_cells``.
"""

from companion.experiments.config import cell, cell_command, cell_runs, like, plain_command
from companion.experiments.grid import AXES, EXPERIMENTS, Cell, cells, count_values
from companion.experiments.own_cells import own_cells
from companion.experiments.questions import Question, only_fresh, questions, without_fresh
from companion.experiments.seeds import read_seeds
from companion.experiments.sweep_file import SweepFile, read_sweep

__all__ = [
    "AXES",
    "EXPERIMENTS",
    "Cell",
    "Question",
    "SweepFile",
    "cell",
    "cell_command",
    "cell_runs",
    "cells",
    "count_values",
    "like",
    "only_fresh",
    "own_cells",
    "plain_command",
    "questions",
    "read_seeds",
    "read_sweep",
    "without_fresh",
]

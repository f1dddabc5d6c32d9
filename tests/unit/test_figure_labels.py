"""Names at the ends of lines: in order, off one another, as near to the ends as that allows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.optimize import minimize

from companion import figures
from companion.figures.labels import name_ends, spread
from psl.losses import LOSSES


def feasible(placed: np.ndarray, order: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How much room is left over between neighbours, below and above; negative is a fault."""
    at, half = placed[order], sizes[order] / 2
    return np.concatenate([np.diff(at) - half[1:] - half[:-1], [at[0], 1 - at[-1]]])


@pytest.mark.parametrize("seed", range(20))
def test_nothing_lies_closer_to_the_ends_in_sum(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 9))
    wanted, sizes = random.random(count) ** 2, random.choice([0.05, 0.1], count)
    order = np.argsort(wanted)
    placed = spread(wanted, sizes)
    assert feasible(placed, order, sizes).min() > -1e-12
    limits = {"type": "ineq", "fun": lambda at: feasible(at, order, sizes)}
    best = minimize(lambda at: ((at - wanted) ** 2).sum(), placed, constraints=limits, tol=1e-10)
    assert ((placed - wanted) ** 2).sum() <= best.fun + 1e-7


def test_where_there_is_room_nothing_moves() -> None:
    wanted = np.array([0.9, 0.1, 0.5])
    assert spread(wanted, np.full(3, 0.1)).tolist() == pytest.approx(wanted.tolist())


def test_equal_heights_make_a_stack_centred_on_them() -> None:
    placed = spread(np.full(3, 0.5), np.full(3, 0.1))
    assert placed == pytest.approx([0.4, 0.5, 0.6])


def test_a_stack_that_is_too_tall_stands_out_alike_above_and_below() -> None:
    placed = spread(np.full(3, 0.1), np.full(3, 1.0))
    assert placed == pytest.approx([-0.5, 0.5, 1.5])


@pytest.mark.parametrize("spacing", [0.0, 0.001, 0.02, 1.0])
def test_names_do_not_touch_and_stand_in_the_order_of_the_ends(spacing: float) -> None:
    curves = {
        loss: [{"epoch": e, "ndcg@20": 0.5 * e + k * spacing} for e in (1, 2)]
        for k, loss in enumerate(LOSSES)
    }
    figure = figures.learning_curves(curves)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(name) for name in figure.axes[0].texts]  # without its line
    assert len(boxes) == len(LOSSES)
    assert all(one.y1 <= other.y0 for one, other in pairwise(boxes))


def test_a_thin_line_leads_from_a_name_to_its_end_where_it_had_to_move() -> None:
    axes = Figure().subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    ends = [("alone", 0.98, 0.1), ("one", 0.98, 0.8), ("other", 0.98, 0.8), ("early", 0.2, 0.4)]
    name_ends(axes, [(*end, "black") for end in ends], "right")
    leads = {name.get_text(): name.arrow_patch is not None for name in axes.texts}
    assert leads == {"alone": False, "one": True, "other": True, "early": True}
    assert [name.xy for name in axes.texts] == [end[1:] for end in ends]

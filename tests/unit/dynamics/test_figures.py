"""Figures of training dynamics: a panel a setting, a line a loss, a dot a model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from companion import figures
from companion.dynamics import by_popularity, own_shares, points, shares, trace
from companion.figures.panels import for_a_phone
from small_runs import SMALL, data


def test_weights_are_a_mean_and_a_range_over_seeds() -> None:
    rows = [
        {"panel": panel, "loss": loss, "epoch": epoch, "share": 0.1 + 0.01 * seed, "drawn": 0.5}
        for panel in ("one", "two")
        for loss in ("sl", "psl-relu")
        for epoch in (5, 200)
        for seed in (0, 1, 2)
    ]
    figure = figures.weight_over_epochs(pd.DataFrame(rows))
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    for axes in figure.axes:
        for line in axes.lines[:2]:
            np.testing.assert_allclose(line.get_xydata(), [(5, 0.11), (200, 0.11)])
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert np.isclose([band.min(), band.max()], [0.1, 0.12]).all()
        assert axes.lines[2].get_linestyle() == ":" and set(axes.lines[2].get_ydata()) == {0.5}
    # A name between two panels would touch the numbers of the second; on a phone each has its own.
    named = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert not named[0] and {"SL", "PSL-relu"} <= named[1]
    with for_a_phone():
        below = figures.weight_over_epochs(pd.DataFrame(rows)).axes
    assert all({"SL", "PSL-relu"} <= {text.get_text() for text in axes.texts} for axes in below)


def test_a_model_is_a_dot_with_its_temperature() -> None:
    rows = [
        {"loss": loss, "tau": tau, "distance": 3 + tau + add, "ndcg@20": 0.1 + tau}
        for loss, add in (("sl", 0.2), ("psl-relu", 0.0), ("psl-softplus", 5.0))
        for tau in (0.2, 0.05)
    ]
    (axes,) = figures.tightness(pd.DataFrame(rows)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(3.25, 0.15), (3.4, 0.3)])
    written = [text.get_text() for text in axes.texts]
    assert written.count("τ 0.05") == written.count("τ 0.2") == 2  # of SL and softplus
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["SL", "PSL-relu", "PSL-softplus"]


def test_tables_have_a_row_for_what_was_measured() -> None:
    found = [trace(SMALL, data(), epochs=(1, 3), device="cpu")]
    rows = points(found)
    assert list(rows["epoch"]) == [1, 3]
    assert rows["ndcg@20"].tolist() == [p.metrics["ndcg@20"] for p in found[0].points]
    weights = shares(found)
    assert len(weights) == 2 * 5 and set(weights["kind"]) == {"held out"}
    last = weights[(weights["epoch"] == 3) & (weights["weighed by"] == "sl")]
    assert last["share"].item() == found[0].at(3).share["held out"]["sl"]
    own = own_shares(found, "held out", setting="iid", seed=[0, 1])
    mean = sum(p.share["held out"][SMALL.loss] for p in found[0].points) / 2
    assert own.shape == (1, 1) and own.loc[0, SMALL.loss] == mean
    assert own_shares(found, "held out", seed=1).empty
    tenths = by_popularity(found)
    assert len(tenths) == 2 * 10 and set(tenths["tenth"]) == set(range(1, 11))
    at = np.array(found[0].at(1).row_weight, dtype=float)  # NaN where a tenth has no pair
    np.testing.assert_array_equal(tenths["row weight"][:10], at)

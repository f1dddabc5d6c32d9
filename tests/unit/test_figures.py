"""What a figure shows: marks where the numbers are, dashed for the paper, nothing for NaN."""

from __future__ import annotations

import io
from itertools import pairwise
from math import nan

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from companion import figures
from companion.figures.panels import for_a_phone, is_narrow, panels
from companion.figures.style import COLOURS, NEUTRALS
from companion.names import LABELS
from psl.losses import LOSSES

ROWS = [
    ("sl", "ndcg@20", 0.1, 0.50, 0.48, 0.46, 0.50),
    ("sl", "ndcg@20", 0.5, 0.40, 0.39, nan, nan),
    ("psl-relu", "ndcg@20", 0.1, 0.52, nan, nan, nan),
    ("psl-relu", "ndcg@20", 0.5, 0.45, nan, nan, nan),
    ("sl", "recall@20", 0.1, nan, 0.7, nan, nan),
    ("sl", "recall@20", 0.5, nan, nan, nan, nan),
]
TABLE = pd.DataFrame(ROWS, columns=["loss", "metric", "ratio", "paper", "ours", "low", "high"])


def contrast_with_white(colour: str) -> float:
    """WCAG's ratio."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 1.05 / (0.05 + float(np.dot((0.2126, 0.7152, 0.0722), linear)))


def drawn(figure: Figure) -> None:
    figure.savefig(io.BytesIO(), format="svg")


def test_every_loss_has_a_readable_colour_of_its_own_and_a_name() -> None:
    assert set(LOSSES) <= set(COLOURS) and set(LOSSES) <= set(LABELS)
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert not set(NEUTRALS) & set(COLOURS.values())
    assert min(map(contrast_with_white, (*COLOURS.values(), *NEUTRALS))) >= 4.5


def test_a_loss_looks_the_same_in_every_figure() -> None:
    curve, points = np.linspace(1, 2, 3), [{"epoch": e, "ndcg@20": e / 10} for e in (1, 2)]
    rows = [(loss, "ndcg@20", x, nan, x, nan, nan) for loss in LOSSES for x in (1.0, 2.0)]
    table = pd.DataFrame(rows, columns=TABLE.columns)
    for figure in (
        figures.activations(curve, dict.fromkeys(LOSSES, curve)),
        figures.learning_curves(dict.fromkeys(LOSSES, points)),
        figures.over(table, "ratio", "p"),
    ):
        lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
        assert [to_hex(line.get_color()) for line in lines] == [COLOURS[x] for x in LOSSES]
        assert {line.get_linestyle() for line in lines} == {"-"}, "dashed is the paper's"
        widths = [line.get_linewidth() for line in lines]
        assert widths[list(LOSSES).index("psl-tanh")] == max(widths)


def test_over_draws_the_paper_dashed_and_ours_solid() -> None:
    figure = figures.over(TABLE, "ratio", "probability")
    left, right = figure.axes
    dashed = [x for x in left.lines if x.get_linestyle() == "--" and len(x.get_xdata())]
    solid = [x for x in left.lines if x.get_linestyle() == "-" and len(x.get_xdata())]
    assert [list(x.get_ydata()) for x in dashed] == [[0.5, 0.4], [0.52, 0.45]]
    assert [list(x.get_ydata()) for x in solid] == [[0.48, 0.39]], "no run, no line"
    assert to_hex(solid[0].get_color()) == COLOURS["sl"]
    assert not [x for x in right.lines if x.get_linestyle() == "--" and len(x.get_xdata())]
    assert [t.get_text() for t in right.texts] == ["SL"], "only what is drawn has a name"
    drawn(figure)


def test_a_name_stands_where_the_longer_of_its_lines_ends() -> None:
    table = TABLE[(TABLE["loss"] == "sl") & (TABLE["metric"] == "ndcg@20")].copy()
    table.loc[table["ratio"] == 0.5, "ours"] = nan
    axes = figures.over(table, "ratio", "probability").axes[0]
    low, high = axes.get_ylim()
    assert axes.texts[0].get_position()[1] == pytest.approx((0.40 - low) / (high - low), abs=0.02)


def test_over_takes_places_and_a_logarithmic_axis() -> None:
    table = TABLE.assign(ratio=TABLE["ratio"].replace({0.1: 10, 0.5: 1200}))
    figure = figures.over(table, "ratio", "negatives", log=True, ticks={10: "10", 1200: "all"})
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["10", "all"]
    drawn(figure)


def test_every_tick_that_is_asked_for_is_written_and_none_lies_on_another() -> None:
    table = TABLE.assign(ratio=TABLE["ratio"].replace({0.1: 10, 0.5: 1200}))
    ticks = {x: f"{x:,}" for x in (10, 30, 100, 300, 1000)} | {1200: "all"}
    figure = figures.over(table, "ratio", "negatives", log=True, ticks=ticks)
    drawn(figure)
    for axes in figure.axes:
        labels = axes.get_xticklabels()
        assert [t.get_text().strip() for t in labels] == [*ticks.values()]
        lower = [t for t in labels if "\n" in t.get_text()]
        boxes = [t.get_window_extent() for t in labels if t not in lower]
        assert len(lower) == 1, "only what would touch is a line lower"
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_over_takes_limits_and_names_stand_by_the_ends_within_them() -> None:
    figure = figures.over(TABLE, "ratio", "p", ylim=(0.3, 0.6))
    assert {axes.get_ylim() for axes in figure.axes} == {(0.3, 0.6)}
    (name,) = figure.axes[1].texts  # ends at 0.7
    assert name.get_position()[1] == 1


def test_by_seed_draws_every_run_and_joins_those_of_a_seed() -> None:
    runs = [("sl", 0, 0.50), ("sl", 1, 0.52), ("psl-relu", 1, 0.55), ("psl-relu", 0, 0.51)]
    table = pd.DataFrame(runs, columns=["loss", "seed", "value"]).assign(metric="ndcg@20")
    axes = figures.by_seed(table).axes[0]
    joined = sorted([*line.get_ydata()] for line in axes.lines if len(line.get_xdata()))
    assert joined == [[0.50, 0.51], [0.52, 0.55]]
    marks = {
        to_hex(dots.get_facecolor()[0]): sorted(float(y) for _, y in dots.get_offsets())
        for dots in axes.collections
    }
    assert marks == {COLOURS["sl"]: [0.50, 0.52], COLOURS["psl-relu"]: [0.51, 0.55]}
    assert [t.get_text() for t in axes.get_xticklabels()] == ["SL", "PSL-relu"]


@pytest.mark.parametrize(
    "draw",
    [
        figures.compare,
        figures.by_seed,
        lambda t: figures.over(t, "ratio", "p"),
        lambda t: figures.ways(t.assign(machine="", way="", seconds=0.0)),
    ],
)
def test_no_record_is_said(draw) -> None:
    figure = draw(TABLE.iloc[:0])
    assert [t.get_text() for t in figure.texts] == ["no record to show"]
    drawn(figure)


def test_learning_curves_carry_a_band_where_seeds_give_one() -> None:
    line = [{"epoch": e, "ndcg@20": 0.1 * e} for e in (1, 2, 3)]
    band = [p | {"low": p["ndcg@20"] - 0.01, "high": p["ndcg@20"] + 0.01} for p in line]
    axes = figures.learning_curves({"sl": line, "psl-relu": band, "bpr": []}).axes[0]
    assert len(axes.collections) == 1
    points = axes.collections[0].get_paths()[0].vertices
    assert points[:, 1].min() == pytest.approx(0.09) and points[:, 1].max() == pytest.approx(0.31)
    assert [t.get_text() for t in axes.texts] == ["SL", "PSL-relu"]


X = np.linspace(1, 2, 5)


def many(count: int) -> dict[str, np.ndarray]:
    return {f"curve {k}": X + k for k in range(count)}


FAMILIES = {
    "lines": lambda n: figures.lines(X, many(n), "x", "y"),
    "gaps": lambda n: figures.gaps(X, many(n), dict.fromkeys(many(n), 3.0)),
    "tilts": lambda n: figures.tilts(X, many(n)),
    "scalars": lambda n: figures.scalars({"one rule": pd.DataFrame(many(n))}),
    "popularity": lambda n: figures.popularity(many(n)),
}


@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_draws_every_curve_and_names_it(name: str, count: int) -> None:
    figure = FAMILIES[name](count)
    axes = figure.axes[0]
    # The dashed bounds of `gaps` reach from edge to edge: two points.
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(curves) == count
    assert [t.get_text() for t in axes.texts] == list(many(count))
    looks = [(to_hex(c.get_color()), str(c.get_linestyle()), c.get_marker()) for c in curves]
    assert len(set(looks)) == count, "no two look the same"
    assert [to_hex(t.get_color()) for t in axes.texts] == [colour for colour, *_ in looks]
    drawn(figure)


def test_a_line_of_a_loss_has_its_colour_and_the_others_none_of_theirs() -> None:
    axes = figures.lines(X, dict.fromkeys(("sl", "PSL-relu", "a bound"), X), "x", "y").axes[0]
    colours = [to_hex(line.get_color()) for line in axes.lines]
    assert colours[:2] == [COLOURS["sl"], COLOURS["psl-relu"]] and colours[2] in NEUTRALS
    assert [t.get_text() for t in axes.texts] == ["SL", "PSL-relu", "a bound"]


def test_compare_draws_the_paper_dashed_and_each_run_as_a_mark() -> None:
    rows = [("sl", 0.5, 0.4), ("sl", 0.5, 0.45), ("psl-relu", 0.6, 0.7)]
    table = pd.DataFrame(rows, columns=["loss", "paper", "ours"]).assign(metric="ndcg@20")
    axes = figures.compare(table).axes[0]
    marks = [(float(x.get_xdata()[0]), float(x.get_ydata()[0])) for x in axes.lines]
    assert marks == [(0.4, 0), (0.45, 0), (0.7, 1)]
    dashed = [c.get_segments()[0] for c in axes.collections[1:]]
    assert [(s[0][0], s[:, 1].mean()) for s in dashed] == [(0.5, 0), (0.5, 0), (0.6, 1)]


def test_compare_draws_an_interval_where_there_is_one() -> None:
    rows = [("sl", 0.5, 0.4, 0.3, 0.45), ("psl-relu", 0.6, 0.7, nan, nan)]
    table = pd.DataFrame(rows, columns=["loss", "paper", "ours", "low", "high"])
    figure = figures.compare(table.assign(metric="ndcg@20"))
    _, *drawn_lines = figure.axes[0].collections  # the first joins print and ours
    bars = [c.get_segments()[0] for c in drawn_lines if np.ptp(c.get_segments()[0][:, 1]) == 0]
    assert [bar.tolist() for bar in bars] == [[[0.3, 0], [0.45, 0]]]
    assert "95 % interval" in figure.get_supxlabel()
    bare = figures.compare(table.drop(columns=["low", "high"]).assign(metric="ndcg@20"))
    assert "interval" not in bare.get_supxlabel()


def test_a_chain_names_the_links_between_its_curves() -> None:
    d = np.linspace(-1, 1, 41)
    curves = {"step": (d >= 0) * 1.0, "psl-relu": 1 + d, "sl": np.exp(d)}
    figure = figures.chain(d, curves, ("step to σ", "σ to exp"))
    drawn(figure)
    axes = figure.axes[0]
    links = [t for t in axes.texts if t.get_text() in ("step to σ", "σ to exp")]
    assert len(links) == 2 and len(axes.collections) == 2
    for link, (low, high) in zip(links, pairwise(curves.values()), strict=True):
        at = int(np.abs(d - link.xy[0]).argmin())
        assert low[at] < link.xy[1] < high[at], "it points into its band"
        assert to_hex(link.get_color()) in NEUTRALS
    assert {t.get_text() for t in axes.texts} >= {"step", "PSL-relu", "SL"}


def test_ways_have_a_bar_each_with_its_milliseconds() -> None:
    ways = {"gather": 2.0, "product, then gather": 1.0, "ours": 0.01}
    machines = {"cpu": 1.0, "gpu": 0.1}
    rows = [(m, way, s * f) for m, f in machines.items() for way, s in ways.items()]
    figure = figures.ways(pd.DataFrame(rows, columns=["machine", "way", "seconds"]))
    drawn(figure)
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["cpu", "gpu"]
    assert [bar.get_width() for bar in left.patches] == [2000, 1000, 10]
    assert [t.get_text() for t in right.texts] == ["200", "100", "1.00"]
    top, *others, ours = [to_hex(bar.get_facecolor()) for bar in left.patches]
    assert others == [top] and ours != top and not {top, ours} & {*COLOURS.values()}


def test_scaling_names_its_lines_and_marks_sizes() -> None:
    sizes = {"negatives": (64, 128, 4096), "batch": (64, 128, 4096), "dim": (16, 64, 256)}
    rows = [
        (varied, size, 0.01 * size, nan if size == 4096 else size, 0.001 * size)
        for varied, some in (sizes | {"items": (1000, 30_000, 1_000_000)}).items()
        for size in some
    ]
    columns = ["varied", "size", "ours_seconds", "plain_seconds", "limit_seconds"]
    figure = figures.scaling(pd.DataFrame(rows, columns=columns))
    drawn(figure)
    names = figure.axes[1].texts
    assert [t.get_text().split()[0] for t in names] == ["gather,", "ours", "arithmetic"]
    assert [t.xy[0] for t in names] == [128, 4096, 4096], "where each line ends"
    assert [t.get_text() for t in figure.axes[2].get_xticklabels()] == ["16", "256"]
    assert not {to_hex(line.get_color()) for line in figure.axes[0].lines} & {*COLOURS.values()}


def test_differences_draw_interval_mark_and_paper() -> None:
    columns = ["label", "loss", "ours", "low", "high", "paper"]
    table = pd.DataFrame([("a", "sl", 0.02, 0.01, 0.04, 0.03)], columns=columns)
    axes = figures.differences(table, "gap").axes[0]
    band, paper = (c.get_segments()[0] for c in axes.collections)
    assert band[:, 0].tolist() == [0.01, 0.04] and paper[:, 0].tolist() == [0.03, 0.03]
    assert axes.lines[1].get_xdata()[0] == 0.02
    grouped = pd.concat([pd.DataFrame([("here", "")], columns=columns[:2]), table])
    names = figures.differences(grouped, "gap").axes[0].get_yticklabels()
    assert [(n.get_text(), n.get_fontweight()) for n in names] == [
        ("here", "bold"),
        ("a", "normal"),
    ]


def test_a_band_lies_between_its_ends() -> None:
    rows = [ROWS[0], (*ROWS[0][:2], 0.5, *ROWS[0][3:])]
    (band,) = (
        figures.over(pd.DataFrame(rows, columns=TABLE.columns), "ratio", "p").axes[0].collections
    )
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.46, 0.50)


def test_popularity_ends_at_everything() -> None:
    (line,) = figures.popularity({"train": np.array([3, 1])}).axes[0].lines
    assert line.get_ydata().tolist() == [0, 0.75, 1]


def test_a_worst_case_lies_on_its_ball_and_a_corner_is_an_item() -> None:
    turned = np.array([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])
    figure = figures.simplex({"Q": turned}, {"Q": turned[2]}, ["a", "b", "c"])
    (axes,) = figure.axes
    ball, worst, middle = (line.get_xydata() for line in axes.lines)
    np.testing.assert_allclose(ball[0], ball[-1])
    np.testing.assert_allclose(worst[0], ball[2])
    np.testing.assert_allclose(middle[0], ball[:-1].mean(axis=0))
    assert {"a", "b", "c", "Q", "uniform P"} <= {text.get_text() for text in axes.texts}


def test_a_flow_leads_from_each_step_to_the_next_and_back() -> None:
    steps = pd.DataFrame({"step": list("abcd"), "holds": ["1", "2", "3", "4"]})
    (axes,) = figures.flow(steps).axes
    boxes = [patch.get_bbox().extents for patch in axes.patches]
    assert len(boxes) == 4
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None)]

    def at(point: tuple[float, float]) -> int:
        inside = [(x - 1e-9 <= point[0] <= u + 1e-9) and (y - 1e-9 <= point[1] <= v + 1e-9)
                  for x, y, u, v in boxes]  # fmt: skip
        return inside.index(True)

    assert [(at(a.xyann), at(a.xy)) for a in arrows] == [(0, 1), (1, 2), (2, 3), (3, 0)]


def test_a_phone_has_panels_below_one_another_and_names_above_their_marks() -> None:
    frame = pd.concat([TABLE.assign(loss="sl"), TABLE.assign(loss="psl-relu")])
    wide = figures.compare(frame)
    with for_a_phone():
        assert is_narrow()
        stacked = figures.compare(frame)
        rows = TABLE[:2].assign(label=["Health, half of the negatives false", "Electronic"])
        with mpl.rc_context({"axes.grid": True}):  # as in the style of the book
            named = figures.differences(rows, "gain of PSL-relu over SL in NDCG@20, percent")
        figure, every = panels(3, 1, on_a_phone=2)
    assert not is_narrow()

    def corners(axes: list[Axes]) -> list[tuple[bool, bool]]:
        places = [a.get_subplotspec() for a in axes]
        return [(p.is_first_row(), p.is_first_col()) for p in places if p]

    assert corners(wide.axes) == [(True, True), (True, False)]
    assert corners(stacked.axes) == [(True, True), (False, True)]
    assert [a.get_visible() for a in figure.axes] == [True, True, True, False] and len(every) == 3
    assert figure.get_size_inches().tolist() == [3.6, 2]
    texts = [t for t in named.axes[0].texts if t.get_text()]
    assert [t.get_text() for t in texts] == list(rows["label"])
    assert all(y - 1 < t.get_position()[1] < y for y, t in enumerate(texts))
    assert {t.get_text() for t in named.axes[0].get_yticklabels()} == {""}
    # Nothing crosses a name: no grid, and no line at zero but beside a mark.
    ticks = [*named.axes[0].xaxis.get_major_ticks(), *named.axes[0].yaxis.get_major_ticks()]
    assert not any(tick.gridline.get_visible() for tick in ticks)
    drawn = [line.get_ydata() for line in named.axes[0].lines]
    drawn += [s[:, 1] for c in named.axes[0].collections for s in c.get_segments()]
    assert drawn and all(np.ptp(ys) < 0.6 for ys in drawn)
    assert all(min(abs(np.min(ys) - y) for y in range(2)) < 0.3 for ys in drawn)

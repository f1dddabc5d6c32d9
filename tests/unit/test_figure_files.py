"""A figure brings the data it was drawn from, and the book says which runs they come from."""

from __future__ import annotations

import json
import re
import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import resvg_py
from PIL import Image

from companion import dynamics, figures, records
from companion.figures.source import svg

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import figure_files  # noqa: E402

D = np.linspace(-1, 1, 5)
ROWS = pd.DataFrame(
    {"loss": ["sl", "psl-relu"], "metric": "ndcg@20", "paper": [0.1, 0.2], "ours": [0.3, 0.4]}
)


def data(figure) -> pd.DataFrame:
    return pd.read_csv(StringIO(figure_files.data_of(svg(figure))))


def test_every_figure_keeps_what_it_was_given() -> None:
    draw = [one for name in figures.__all__ if callable(one := getattr(figures, name))]
    drawing = [one for one in draw if getattr(one, "__annotations__", {}).get("return") == "Figure"]
    assert len(drawing) > 15 and all(hasattr(one, "__wrapped__") for one in drawing)


def test_a_table_comes_out_as_it_went_in() -> None:
    pd.testing.assert_frame_equal(data(figures.compare(ROWS)), ROWS)


def test_curves_are_columns_beside_their_axis() -> None:
    found = data(figures.weights(D, {"sl": D**2, 'a "b" & <c>': D + 1}))
    assert list(found) == ["d", "sl", 'a "b" & <c>']
    np.testing.assert_allclose(found["sl"], D**2)


def test_points_and_tables_by_name_stand_below_one_another() -> None:
    points = {"sl": [{"epoch": 5, "ndcg@20": 0.1}], "bpr": [{"epoch": 5, "ndcg@20": 0.2}]}
    found = data(figures.learning_curves(points))
    assert list(found["of"]) == ["sl", "bpr"] and list(found["ndcg@20"]) == [0.1, 0.2]
    moved = data(figures.scalars({"rule": pd.DataFrame({"a": [1.0, 2.0]})}))
    assert list(moved["of"]) == ["rule", "rule"] and list(moved["a"]) == [1.0, 2.0]


def test_arrays_of_unequal_length_are_filled_up() -> None:
    found = data(figures.pair_weights(D, {"positive": np.ones(4)}, {"sl": np.ones(4)}, 0.0))
    assert len(found) == 5 and np.isnan(found["sl"].iloc[-1])


def test_the_same_bytes_each_time() -> None:
    figures.use_style()
    assert svg(figures.compare(ROWS)) == svg(figures.compare(ROWS))


def record(run: str, seed: int, device: str) -> dict:
    config = {"dataset": "gowalla", "setting": "iid", "backbone": "mf", "seed": seed}
    known = {"experiment": "table1", "device": device, "code_digest": "abc"}
    return {"run_id": run, "config": config, **known}


def test_a_phone_has_the_figure_half_as_wide_with_its_panels_below_one_another() -> None:
    figures.use_style()
    both = pd.concat([ROWS, ROWS.assign(metric="recall@20")])
    drawn = svg(figures.compare(both))
    small = figure_files.for_phone(drawn)
    page, phone = ({k: int(v) for k, v in figure_files.size_of(x).items()} for x in (drawn, small))
    assert phone["width"] < 0.7 * page["width"] and phone["height"] > page["height"]
    assert phone["width"] < 375, "its lettering would have less than 11 pixels"
    for name in ("NDCG@20", "Recall@20"):
        assert f"<!-- {name} -->" in small
    assert not figure_files.data_of(small) and not figure_files.for_phone(small)
    assert small not in figure_files.compact(drawn)


def test_runs_are_told_by_what_they_share() -> None:
    known = {r["run_id"]: r for r in (record("a", 1, "cpu"), record("b", 0, "gpu"))}
    assert figure_files.runs_of("loss,runs\nsl,a b\nbpr,a\nbsl,\n", known) == {
        "column": "runs",
        "count": 2,
        "seeds": [0, 1],
        "devices": ["cpu", "gpu"],
        "digests": ["abc"],
        "again": "psl records rerun --experiment table1 --dataset gowalla --setting iid "
        "--backbone mf",
    }
    assert figure_files.runs_of("loss\nsl\n", known) == {}
    assert figure_files.runs_of("ours,runs\n,a\n", known) == {}, "print alone is drawn"


def drawn_from_records() -> dict[str, str]:
    """Return the SVG of each figure that a chapter says is replayed, speed aside, by its name."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        label = ""
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                label = text.rpartition("\n\n")[2]
            elif (shown := cell["metadata"].get("mystnb", {}).get("figure")) and (
                "label-replayed" in label and "performance" not in path.stem
            ):
                (figure,) = (o["data"] for o in cell["outputs"] if "image/svg+xml" in o["data"])
                found[shown["name"]] = "".join(figure["image/svg+xml"])
    return found


def test_a_figure_of_records_names_their_runs() -> None:
    every = drawn_from_records()
    assert len(every) > 15
    known = {
        "runs": {r["run_id"] for r in records.read(ROOT / "results")},
        "measured": {trace.run_id for trace in dynamics.read(ROOT / "results")},
        "searches": set(figure_files.tried(ROOT / "results")),
    }
    for name, drawn in every.items():
        as_text = {"measured": str, "searches": str}
        table = pd.read_csv(StringIO(figure_files.data_of(drawn)), dtype=as_text)
        (column,) = known.keys() & {*table.columns}
        ids = {run for ids in table[column].dropna() for run in ids.split()}
        assert ids <= known[column] and (ids or column == "runs"), name


def test_trials_are_told_with_the_search_that_makes_them() -> None:
    data = "loss,searches\nsl,a\nsl,a\nbpr,b\n"
    made = {"device": "cpu", "code_digest": "d"}
    trials = {
        one: [{"config": {"dataset": "amazon-beauty", "seed": 0}, **made}] * 3 for one in "abc"
    }
    found = figure_files.runs_of(data, {}, {}, trials)
    assert found["count"] == 6 and found["seeds"] == [0] and found["digests"] == ["d"]
    assert found["again"].startswith("psl tune amazon-beauty --own-options")


def test_measured_runs_are_told_with_the_command_that_measures_them() -> None:
    place = {"dataset": "amazon-health", "setting": "noise", "noise_ratio": 0.5}
    traced = {
        run: {"config": {**place, "seed": seed}, "device": "cpu", "code_digest": "d"}
        for seed, run in enumerate(("a", "b"))
    }
    found = figure_files.runs_of("loss,measured\nsl,a\nbpr,b\n", {}, traced)
    assert found == {
        "column": "measured", "count": 2, "seeds": [0, 1], "devices": ["cpu"], "digests": ["d"],
        "again": "psl dynamics --dataset amazon-health --setting noise --noise-ratio 0.5",
    }  # fmt: skip
    with pytest.raises(KeyError):
        figure_files.runs_of("measured\nc\n", {}, traced)


def test_a_compact_figure_looks_the_same() -> None:
    """Half the bytes, and every name that is asked for is there."""
    figures.use_style()
    drawn = svg(figures.compare(ROWS))
    small = figure_files.compact(drawn)
    assert len(small) < 0.65 * len(figure_files.DESCRIPTION.sub("", drawn))
    asked = set(re.findall(r'(?:href="|url\()#([^")]+)', small))
    assert asked and asked == set(re.findall(r' id="([^"]+)"', small))
    pictures = [
        np.asarray(
            Image.open(BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=x, dpi=96)))).convert("L"),
            int,
        )
        for x in (drawn, small)
    ]
    height, width = np.min([picture.shape for picture in pictures], axis=0)
    before, after = (picture[:height, :width] for picture in pictures)
    assert np.mean(np.abs(before - after) > 40) < 2e-3
    assert figure_files.compact(small) == small


def test_a_run_without_a_record_ends_the_build() -> None:
    with pytest.raises(KeyError):
        figure_files.runs_of("runs\nc\n", {})

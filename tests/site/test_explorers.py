"""The explorers from a file, without a network: the picture moves, the values are the module's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pandas as pd
import pytest

from browser import offline_page
from companion.figures.ball_explorer import ball_explorer, worst_case_numbers
from companion.figures.chain_explorer import SCORES, chain_explorer, chain_links
from companion.figures.explorer import STOPS, effective_share, weight_explorer
from companion.figures.seeds_explorer import gain_spread, seeds_explorer
from companion.figures.style import COLOURS
from companion.figures.table_explorer import table_explorer
from companion.names import LABELS
from companion.statistics import power, seeds_needed

NAMES = {"sl": "exp", "psl-atan": "atan", "psl-relu": "relu", "psl-softplus": "softplus"}
PSLS = {loss: sigma for loss, sigma in NAMES.items() if loss != "sl"}
WHERE = {"dataset": "amazon-electronic", "setting": "iid", "backbone": "mf", "form": None}
DIFFERENCES = (-0.9, -0.45, -0.2, -0.1, 0.0, 0.05, 0.3, 0.62)
SPREAD = pd.DataFrame(
    [("Electronic", "psl-relu", -0.018, 0.045, 3), ("Health", "psl-relu", -0.005, 0.015, 5)],
    columns=["label", "loss", "low", "high", "seeds"],
)


def values() -> pd.DataFrame:
    rows = [
        WHERE | {"loss": loss, "metric": metric, "paper": x, "ours": x + 0.001, "seeds": 3}
        for metric in ("recall@20", "ndcg@20")
        for loss, x in (("sl", 0.05), ("psl-relu", 0.052), ("bpr", 0.04))
    ]
    ends = {"low": lambda t: t["ours"] - 0.002, "high": lambda t: t["ours"] + 0.002}
    return pd.DataFrame(rows).assign(**ends, noise_ratio=None)


def gains() -> dict[str, pd.DataFrame]:
    found = {"ours": 0.0123, "low": -0.004, "high": 0.0286, "seeds": 3}
    rows = [WHERE | found | {"loss": "psl-relu", "metric": m} for m in ("recall@20", "ndcg@20")]
    return {"sl": pd.DataFrame(rows)}


MADE: dict[str, Callable[[], str]] = {
    "weights": lambda: weight_explorer(NAMES, LABELS, COLOURS).html,
    "chain": lambda: chain_explorer(PSLS).html,
    "ball": lambda: ball_explorer(DIFFERENCES, NAMES).html,
    "seeds": lambda: seeds_explorer(SPREAD).html,
    "table1": lambda: table_explorer(values(), gains()).html,
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """Return the address of a page with each explorer, and of one with all of them."""
    folder, made = tmp_path_factory.mktemp("explorers"), {k: make() for k, make in MADE.items()}
    made["all"] = "".join(made.values())
    head = '<!doctype html><html lang="en"><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width"><title>x</title>'
    for name, html in made.items():
        (folder / f"{name}.html").write_text(head + html, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.fixture
def opened(browser, pages) -> Iterator[Callable]:
    """Return a function that opens an explorer; at the end no script may have failed."""
    faults, contexts = [], []

    def open_one(name: str, **context):
        page, errors = offline_page(browser, pages[name], **context)
        faults.append(errors)
        contexts.append(page.context)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not any(faults)


def picture(page) -> str:
    return str(page.locator(".live svg").evaluate_all("all => all.map(svg => svg.innerHTML)"))


@pytest.mark.parametrize("name", MADE)
def test_every_knob_moves_the_picture_by_keyboard(opened, name: str) -> None:
    page = opened(name)
    knobs = page.locator(".live :is(input, select)")
    assert knobs.count() >= 2
    for k in range(knobs.count()):
        before, knob = picture(page), knobs.nth(k)
        assert knob.evaluate("knob => knob.labels.length") == 1
        if knob.evaluate("knob => knob.tagName") == "INPUT":
            knob.focus()
            page.keyboard.press("ArrowRight")
            assert knob.get_attribute("aria-valuetext")
        else:
            texts = knob.locator("option").all_inner_texts()
            if len(texts) < 2:
                continue
            chosen = knob.evaluate("knob => knob.selectedIndex")
            knob.select_option(index=0 if chosen else 1)
        assert picture(page) != before, k


@pytest.mark.parametrize("width", [390, 1200])
def test_all_on_one_page_stay_apart_and_within_it(opened, width: int) -> None:
    page = opened("all", viewport={"width": width, "height": 900})
    assert page.locator(".live:visible").count() == len(MADE)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    assert page.locator(".live svg").evaluate_all("all => all.every(svg => svg.innerHTML)")


@pytest.mark.parametrize("name", MADE)
def test_without_a_script_there_is_a_table_or_a_word(opened, name: str) -> None:
    page = opened(name, java_script_enabled=False)
    assert page.locator(".live:visible").count() == 0
    if name == "weights":
        assert "static figures" in page.inner_text("body")
    else:
        assert page.locator("table:visible tbody tr").count() >= 4


def test_the_weights_have_the_modules_shares(opened) -> None:
    page = opened("weights")
    page.locator(".live select").select_option("psl-atan")
    page.locator(".live input").focus()
    for key, tau in (("Home", STOPS[0]), ("ArrowRight", STOPS[1]), ("End", STOPS[-1])):
        page.keyboard.press(key)
        assert page.inner_text("output") == f"τ = {tau:g}"
        for name, activation in (("PSL-atan", "atan"), ("SL", "exp")):
            share = 100 * effective_share(activation, tau)
            assert f"{name} {share:.1f} %" in page.inner_text(".said")
        assert page.locator("path.curve").count() == 4


@pytest.mark.parametrize(("keys", "tau"), [(("Home",), 0.025), (("End",), 1.0), ((), 0.2)])
@pytest.mark.parametrize("loss", PSLS)
def test_the_chain_has_the_modules_values(opened, loss: str, keys, tau: float) -> None:
    page = opened("chain")
    slide, heat = page.locator(".live input").all()
    page.locator(".live select").select_option(loss)
    heat.focus()
    for key in keys:
        page.keyboard.press(key)
    slide.focus()
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    score = float(slide.input_value())
    assert tau in STOPS and -0.5 < score < 0.5
    cells = page.locator(".live tbody td").all_inner_texts()
    links = list(chain_links(score, tau, PSLS[loss]).values())
    assert [float(x) for x in cells[::2]] == pytest.approx(links, abs=6e-4)
    slack = [float(x.replace("\N{MINUS SIGN}", "-")) for x in cells[1::2][:-1]]
    assert slack == pytest.approx([b - a for a, b in pairwise(links)], abs=6e-4)
    rank = 1 + sum(other >= score for other in SCORES)
    said = page.inner_text(".said")
    assert said.startswith(f"Rank {rank} of 20, DCG ")
    assert ("Lemma 4.1 does not cover it" in said) == (loss == "psl-softplus")


def test_the_positive_is_dragged_with_the_mouse(opened) -> None:
    page = opened("chain")
    box = page.locator("svg.drag").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.locator(".live input").first.input_value()
    page.mouse.down()
    page.mouse.move(box["x"] + 60 / 330 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.up()
    after = float(page.locator(".live input").first.input_value())
    assert before == "0.1" and after == pytest.approx(-0.43, abs=0.03)


@pytest.mark.parametrize("loss", NAMES)
def test_the_ball_has_the_modules_worst_case(opened, loss: str) -> None:
    page = opened("ball")
    page.locator(".live select").select_option(loss)
    page.locator(".live input").focus()
    for key, tau in (("Home", 0.025), ("ArrowRight", 0.03), ("End", 1.0)):
        page.keyboard.press(key)
        said = page.inner_text(".said").replace("\N{MINUS SIGN}", "-")
        numbers = worst_case_numbers(DIFFERENCES, tau, NAMES[loss])
        found = [float(x) for x in re.findall(r"-?\d+\.\d+", said)]
        assert (found[0], found[2], found[3]) == pytest.approx(tuple(numbers.values()), abs=6e-3)


@pytest.mark.parametrize(("place", "asked"), [(0, 0), (1, 0), (1, 1)])
def test_the_seeds_are_those_of_the_power(opened, place: int, asked: int) -> None:
    page = opened("seeds")
    where, questions = page.locator(".live select").all()
    where.select_option(index=place)
    questions.select_option(index=asked)
    row = SPREAD.iloc[place]
    spread, level = gain_spread(row["low"], row["high"], row["seeds"]), 0.05 / (1, 6)[asked]
    page.locator(".live input").focus()
    for key, gain in (("Home", 0.25), ("ArrowRight", 0.5), ("End", 20)):
        page.keyboard.press(key)
        said = page.inner_text(".said")
        chance = power(gain / 100, spread, int(row["seeds"]), level)
        assert f"seeds find a gain of {gain:g} % in {100 * chance:.0f} % of the cases" in said
        assert f"; {seeds_needed(gain / 100, spread, level)} find it in four of five" in said


def test_the_table_shows_print_ours_and_the_gain(opened) -> None:
    page = opened("table1")
    rows = [[*map(str.strip, r.split("\t"))] for r in page.locator(".live tr").all_inner_texts()]
    assert rows[3] == ["NDCG@20", "printed", "0.0520", "0.0500", "+4.0%", "", ""]
    ends = "\N{MINUS SIGN}0.4% to +2.9%"
    assert rows[4] == ["NDCG@20", "ours", "0.0530", "0.0510", "+1.2%", ends, "3"]
    assert page.inner_text(".said") == "PSL-relu over SL, NDCG@20: the interval contains zero."
    page.locator(".live select").nth(2).select_option("bpr")
    assert page.inner_text(".said") == "BPR over SL, NDCG@20: no pair of runs yet."
    assert "+4.0%" not in page.inner_text(".live tbody")

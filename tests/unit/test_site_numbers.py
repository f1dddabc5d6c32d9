"""The table of what the site asks of its readers comes from its records."""

from __future__ import annotations

import gzip
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytest.importorskip("axe_playwright_python")
from benchmarks.site import RESULTS, SUMMARY, read_site, summary, write_summary
from companion.publish.browser import BROWSER, served

PAGE = """<html lang=en><title>t</title><link rel=icon href="data:,">
<body style="margin: 0"><main class=bd-article>
<h1 style="height: 100px; margin: 0">h</h1><figure style="margin: 0"></figure>
<div class=cell_input><pre>a = 1\nb = 2</pre></div>
<details><summary>Show</summary><div class=cell_input><pre>hidden</pre></div></details>
<div class=cell_output><div class="output stream"><pre>one\ntwo\nthree</pre></div></div>
<p style="color: #ccc">faint</p></main><script>{script}</script>
<footer>psl 1, commit 0123abc.</footer></html>"""


@pytest.mark.parametrize("compressed", [False, True])
def test_text_is_compressed_where_that_is_asked_for(tmp_path: Path, compressed: bool) -> None:
    text = PAGE * 20
    (tmp_path / "page.html").write_text(text)
    (tmp_path / "picture.png").write_bytes(b"png")
    with served(tmp_path, compressed=compressed) as base:
        with urlopen(base + "page.html") as answer:
            body = answer.read()
        with urlopen(base + "picture.png") as answer:
            assert answer.read() == b"png"
        with pytest.raises(HTTPError, match="404"):
            urlopen(base + "nothing.html")
    assert (len(body) < len(text) / 2) == compressed
    assert (gzip.decompress(body) if compressed else body).decode() == text


def test_what_was_not_measured_is_empty() -> None:
    page = dict.fromkeys({key for _, _, key, *_ in SUMMARY if "compressed" not in key}, 1.0)
    pages = {"book/index": page, "notebooks/01-a": page, "notebooks/09-status": page}
    found = dict(zip((what for what, *_ in SUMMARY), summary({"pages": pages}), strict=True))
    assert found["the same, compressed: chapter 1"] is None
    assert sum(number is None for number in found.values()) == 3


def test_the_stored_table_is_that_of_the_stored_records(tmp_path: Path) -> None:
    for path in RESULTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    write_summary(tmp_path)
    assert (tmp_path / "summary.csv").read_text() == (RESULTS / "summary.csv").read_text()


def test_a_line_of_the_table_goes_over_its_pages() -> None:
    page = dict.fromkeys({key for _, _, key, *_ in SUMMARY}, 1e6)
    first = page | {"first_figure_pixels": None, "bytes": 3e6}
    pages = {"book/index": first, "notebooks/01-a": first, "notebooks/09-status": page}
    found = dict(zip((what for what, *_ in SUMMARY), summary({"pages": pages}), strict=True))
    assert found["chapters without a figure"] == 1
    assert found["a page's weight, MB: median"] == 3
    assert found["printed lines, all chapters"] == 2e6


@pytest.mark.skipif(BROWSER is None, reason="no browser")
def test_a_page_is_measured(tmp_path: Path) -> None:
    scripts = {
        "book/index": "",
        "notebooks/09-a": "console.error('no'); fetch('http://127.0.0.2:9/').catch(() => 0)",
    }
    for name, script in scripts.items():
        path = tmp_path / f"{name}.html"
        path.parent.mkdir()
        path.write_text(PAGE.replace("{script}", script))
    with ThreadPoolExecutor(1) as own:  # this one may have the browser of other tests
        record = own.submit(read_site, tmp_path).result()
    assert record["commit"] == "0123abc" and json.dumps(record)
    quiet, loud = record["pages"].values()
    assert (quiet["first_figure_pixels"], quiet["open_code_lines"]) == (100, 2)
    assert (quiet["printed_lines"], quiet["axe_serious"]) == (3, 1)
    assert quiet["foreign_requests"] == quiet["console_errors"] == 0
    for way in ("slow", "slow_compressed"):
        assert quiet[f"{way}_ready_seconds"] > 0 and f"{way}_ready_seconds" not in loud
    assert loud["foreign_requests"] == 1 and loud["console_errors"] >= 1

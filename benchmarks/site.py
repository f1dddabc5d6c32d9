"""What a reader waits for, scrolls past and stumbles over in the built book, page by page.

Chromium reads each page over http on this machine: on a laptop (1440 x 900) and on a phone
(390 x 844).  Three pages are read again over a line of 1.6 Mbit/s with 150 ms, with nothing kept
from before: as the files are, and compressed, as a host of pages sends them.

Run: ``python -m benchmarks.site [--site FOLDER] [--name NAME]``.  A name stores the numbers as
``results/site/NAME.json`` and writes ``results/site/summary.csv`` of all that are stored anew.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from companion.locks import write
from companion.publish.browser import BROWSER, READY, served

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "site"
LAPTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SLOW = {"latency": 150, "downloadThroughput": 2e5, "uploadThroughput": 2e5, "offline": False}
SLOWLY = ("book/index", "notebooks/01-", "-status")  # the first page, formulas, the longest one
LOOK = """() => {
  const lines = which => [...document.querySelectorAll(which)].filter(e => e.checkVisibility())
    .reduce((sum, e) => sum + e.innerText.trimEnd().split('\\n').length, 0);
  const figure = document.querySelector('.bd-article figure, .bd-article .psl-explorer');
  return {
    first_figure_pixels: figure && Math.round(figure.getBoundingClientRect().top + scrollY),
    printed_lines: lines('.cell_output .output:not(.text_html) pre'),
    open_code_lines: lines('.cell_input pre'),
    height_pixels: document.documentElement.scrollHeight,
  };
}"""
AXE = """async () => (await axe.run({resultTypes: ['violations']})).violations
  .filter(rule => ['serious', 'critical'].includes(rule.impact))
  .reduce((sum, rule) => sum + rule.nodes.length, 0)"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]"


@contextmanager
def opened(browser: Browser, size: dict[str, int]) -> Iterator[Page]:
    """Yield a page of a browser that has kept nothing."""
    context = browser.new_context(viewport=size, color_scheme="light")  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def read_page(browser: Browser, base: str, name: str) -> dict[str, Any]:
    """Measure one page on a laptop and on a phone."""
    seen = {"requests": 0, "bytes": 0, "foreign_requests": 0, "console_errors": 0}

    def count(key: str, amount: int = 1) -> None:
        seen[key] += amount

    with opened(browser, LAPTOP) as page:
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda e: count("bytes", int(e["encodedDataLength"])))
        page.on("request", lambda r: count("requests"))
        page.on(
            "request", lambda r: count("foreign_requests", not r.url.startswith((base, "data")))
        )
        page.on("console", lambda m: count("console_errors", m.type == "error"))
        page.on("pageerror", lambda error: count("console_errors"))
        page.goto(base + name, wait_until="load")
        page.evaluate(READY)
        found: dict[str, Any] = {**seen, **page.evaluate(LOOK)}  # axe loads styles once more
        page.evaluate((files(axe_playwright_python) / "axe.min.js").read_text("utf-8"))
        found["axe_serious"] = page.evaluate(AXE)
    with opened(browser, PHONE) as page:
        page.goto(base + name, wait_until="load")
        page.evaluate(READY)
        found["phone_height_pixels"] = page.evaluate(LOOK)["height_pixels"]
    return found


def read_slowly(browser: Browser, address: str) -> dict[str, float]:
    """Measure how long a page takes over a slow line."""
    with opened(browser, LAPTOP) as page:
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.send("Network.emulateNetworkConditions", SLOW)
        page.goto(address, wait_until="load", timeout=120_000)
        page.evaluate(READY)
        ready = page.evaluate("performance.now() / 1000")
        # On a busy machine the browser may tell of its first paint only later.
        painted = page.wait_for_function(PAINT).evaluate("entry => entry.startTime / 1000")
    return {"ready_seconds": round(ready, 2), "paint_seconds": round(painted, 2)}


def read_site(site: Path, commit: str | None = None) -> dict[str, Any]:
    """Measure every chapter and page; the commit is the one that the footer names, if not given."""
    names = sorted(
        page.relative_to(site).as_posix()
        for folder in ("book", "notebooks")
        for page in (site / folder).glob("*.html")
    )
    footer = (site / "book" / "index.html").read_text("utf-8")
    if commit is None and (named := re.search(r", commit ([0-9a-f]+)", footer)):
        commit = named[1]
    with served(site) as base, served(site, compressed=True) as small, sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        pages = {name.removesuffix(".html"): read_page(browser, base, name) for name in names}
        for name in (name for name in names if any(part in name for part in SLOWLY)):
            for way, where in (("slow", base), ("slow_compressed", small)):
                spent = read_slowly(browser, where + name)
                page = pages[name.removesuffix(".html")]
                page.update({f"{way}_{key}": value for key, value in spent.items()})
        about = {"commit": commit, "browser": f"Chromium {browser.version}"}
        browser.close()
    return about | {"pages": pages}


# What of it, over which pages, and what becomes of the many.
Take = Callable[[list[float]], float]
SUMMARY: tuple[tuple[str, str, str, Take, float], ...] = (
    ("chapters without a figure", "notebooks/", "first_figure_pixels", len, 1),
    ("first figure of a chapter, pixels from the top: median", "notebooks/",
     "first_figure_pixels", statistics.median, 1),
    ("printed lines, all chapters", "notebooks/", "printed_lines", sum, 1),
    ("open lines of code, all chapters", "notebooks/", "open_code_lines", sum, 1),
    ("a page's weight, MB: median", "", "bytes", statistics.median, 1e6),
    ("a page's weight, MB: largest", "", "bytes", max, 1e6),
    ("height on a laptop, pixels: median chapter", "notebooks/", "height_pixels",
     statistics.median, 1),
    ("height on a phone, pixels: median chapter", "notebooks/", "phone_height_pixels",
     statistics.median, 1),
    ("height on a phone, pixels: highest page", "", "phone_height_pixels", max, 1),
    ("first page at 1.6 Mbit/s: something to read, seconds", "book/index",
     "slow_paint_seconds", max, 1),
    ("first page at 1.6 Mbit/s: ready, seconds", "book/index", "slow_ready_seconds", max, 1),
    ("chapter 1 at 1.6 Mbit/s: ready, seconds", "notebooks/01-", "slow_ready_seconds", max, 1),
    ("the verdict at 1.6 Mbit/s: ready, seconds", "-status", "slow_ready_seconds", max, 1),
    ("the same, compressed: first page", "book/index", "slow_compressed_ready_seconds", max, 1),
    ("the same, compressed: chapter 1", "notebooks/01-", "slow_compressed_ready_seconds", max, 1),
    ("the same, compressed: the verdict", "-status", "slow_compressed_ready_seconds", max, 1),
    ("axe: serious or critical, all pages", "", "axe_serious", sum, 1),
    ("requests to other hosts", "", "foreign_requests", sum, 1),
    ("errors in the console", "", "console_errors", sum, 1),
)  # fmt: skip


def summary(record: dict[str, Any]) -> list[float | None]:
    """Return one number for each line of the summary, ``None`` for what was not measured."""
    numbers: list[float | None] = []
    for what, where, key, take, unit in SUMMARY:
        values = [page.get(key) for name, page in record["pages"].items() if where in name]
        seen = [value for value in values if value is not None]
        if what.endswith("without a figure"):
            numbers.append(len(values) - len(seen))
        else:
            numbers.append(round(take(seen) / unit, 2) if seen else None)
    return numbers


def write_summary(folder: Path) -> None:
    """Write the stored records beside one another, in the order of their names."""
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    columns = [summary(records[name]) for name in sorted(records)]
    lines = zip((line[0] for line in SUMMARY), *columns, strict=True)
    with (folder / "summary.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["", *(name.partition("-")[2] for name in sorted(records))])
        table.writerows([what, *map(_written, line)] for what, *line in lines)


def _written(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def main() -> None:
    """Measure a site, print its pages, and store them under a name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "book" / "_build" / "html")
    parser.add_argument("--name", help="such as 2-now: a number for its place, and what it is")
    parser.add_argument("--commit", help="what the site was built from; else as its footer says")
    options = parser.parse_args()
    record = read_site(options.site, options.commit)
    heads = list(dict.fromkeys(key for page in record["pages"].values() for key in page))
    table = Table("page", *(head.replace("_", " ") for head in heads))
    for name, page in record["pages"].items():
        table.add_row(name, *(str(page.get(head, "")) for head in heads))
    Console().print(table)
    for (what, *_), number in zip(SUMMARY, summary(record), strict=True):
        Console().print(f"{what}: {_written(number)}")
    if options.name:
        write(RESULTS / f"{options.name}.json", (json.dumps(record, indent=1) + "\n").encode())
        write_summary(RESULTS)


if __name__ == "__main__":
    main()

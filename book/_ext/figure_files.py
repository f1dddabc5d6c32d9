"""A figure that can be taken along: SVG, PNG and its data, and which runs it was drawn from.

* The file of a figure is named after it: ``fig-noise.svg``, not a hash.
* The figure is a link to its SVG, which a script shows large.
* A phone shows the figure as drawn for it, ``fig-noise-phone.svg``; it lies in the SVG as well.
* The SVG is written without what no one sees of it.
* Its data lie in the SVG as a description (``companion.figures``); the site has them as a CSV file
  beside it, and not twice.
* Beside them is the entry that cites it, for BibTeX.
"""

from __future__ import annotations

import csv
import html
import re
from collections import Counter
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import resvg_py
from docutils import nodes
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

from companion import publish

FOLD = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("figure.html")
DESCRIPTION = re.compile(r"\s*<dc:description>(.*?)</dc:description>", re.DOTALL)
RELATION = re.compile(r"\s*<dc:relation>(.*?)</dc:relation>", re.DOTALL)
PHONE = "(max-width: 600px)"


SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"')
# A hundredth of a point is enough; a scale is no length.
LENGTH = re.compile(r"(scale\([^)]*\))|-?\d+\.\d{3,}")
STYLE = re.compile(r' style="([^"]*)"')
KINDS = {"bib": "BibTeX"}
LETTER = re.compile(r'<use xlink:href="#([^"]+)" transform="translate\(([\d.]+) 0\)"/>')


def compact(svg: str) -> str:
    """Return an SVG that looks the same in half of its bytes.

    Comments, metadata and names that nothing asks for go; lengths have two digits after the point;
    a style that comes more than once has a name; glyphs have short names.
    """
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    text = LENGTH.sub(lambda x: x[1] or f"{float(x[0]):.2f}".rstrip("0").rstrip("."), text)
    text = re.sub(r"\s*\n\s*(?=[A-Z] |z|\")", "", text)
    text = re.sub(r"(?<=[A-Z]) (?=-?\d)", "", re.sub(r">\s+<", "><", text))
    counted = Counter(STYLE.findall(text))
    named = {style: f"s{k}" for k, (style, n) in enumerate(counted.items()) if n > 1}
    text = STYLE.sub(lambda s: f' class="{named[s[1]]}"' if s[1] in named else s[0], text)
    rules = "".join(f".{name}{{{style}}}" for style, name in named.items())
    text = LETTER.sub(
        r'<use xlink:href="#\1" x="\2"/>', text.replace("</style>", f"{rules}</style>", 1)
    )
    asked = dict.fromkeys(re.findall(r'(?:xlink:href="|url\()#([^")]+)', text))
    short = {name: f"g{k}" for k, name in enumerate(asked)}
    text = re.sub(r' id="([^"]+)"', lambda i: f' id="{short[i[1]]}"' if i[1] in short else "", text)
    return re.sub(r'((?:xlink:href="|url\()#)([^")]+)', lambda a: a[1] + short[a[2]], text)


def data_of(svg: str) -> str:
    """Return what an SVG of the book was drawn from, as CSV; empty without it."""
    found = DESCRIPTION.search(svg)
    return html.unescape(found[1]) if found else ""


class picture(nodes.image):
    """An image of which a phone shows another file."""


def visit_picture(self: Any, node: picture) -> None:
    """Name both files; below a width the browser takes the first."""
    phone = node["phone"]
    sides = f'width="{phone["width"]}" height="{phone["height"]}"'
    self.body.append(f'<picture><source media="{PHONE}" srcset="{phone["file"]}" {sides}>')
    self.visit_image(node)


def depart_picture(self: Any, node: picture) -> None:
    """Close what was opened."""
    self.depart_image(node)
    self.body.append("</picture>")


def for_phone(svg: str) -> str:
    """Return the figure as it was drawn for a phone; empty without it."""
    found = RELATION.search(svg)
    return html.unescape(found[1]) if found else ""


def size_of(svg: str) -> dict[str, str]:
    """Return the width and the height of an SVG in pixels: a page keeps room for them."""
    if not (found := SIZE.search(svg)):
        return {}
    width, height = (str(round(float(points) * 4 / 3)) for points in found.groups())
    return {"width": width, "height": height}


@cache
def recorded(results: Path) -> dict[str, dict[str, Any]]:
    """Return the run records by their id."""
    from companion import records

    return {record["run_id"]: record for record in records.read(results)}


@cache
def measured(results: Path) -> dict[str, dict[str, Any]]:
    """Return by their id the runs that were measured while they trained."""
    from companion import dynamics

    return {trace.run_id: trace.model_dump(exclude={"points"}) for trace in dynamics.read(results)}


@cache
def tried(results: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the trials of each search by its id, with the fields that a run has."""
    from companion import records

    found: dict[str, list[dict[str, Any]]] = {}
    for path in records.trial_files(results):
        for trial in records.read_trials(path):
            found.setdefault(trial.search, []).append({"config": trial.config, **trial.made})
    return found


def runs_of(
    data: str,
    known: dict[str, dict[str, Any]],
    traced: dict[str, dict[str, Any]] | None = None,
    searched: dict[str, list[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Return what the runs in the column ``runs``, ``measured`` or ``searches`` have in common.

    Empty without one.  A row whose value ``ours`` was left out is not drawn, and its runs are none
    of the figure's.
    """
    rows = [row for row in csv.DictReader(StringIO(data)) if row.get("ours") != ""]
    ids, others, searches = (
        {run for row in rows for run in (row.get(column) or "").split()}
        for column in ("runs", "measured", "searches")
    )
    if searches:
        runs = [trial for one in sorted(searches) for trial in (searched or {})[one]]
        places = sorted({run["config"]["dataset"] for run in runs})
        again = "; ".join(f"psl tune {place} --own-options ..." for place in places)
        return _shared("searches", runs, again)
    if others:
        runs = [(traced or {})[run] for run in sorted(others)]
        again = "; ".join(sorted({_measure(run["config"]) for run in runs}))
        return _shared("measured", runs, again)
    if not ids:
        return {}
    runs = [known[run] for run in sorted(ids)]
    filters = {
        "experiment": {run["experiment"] for run in runs},
        **{axis: {r["config"][axis] for r in runs} for axis in ("dataset", "setting", "backbone")},
    }
    asked = [f"--{key} {value}" for key, values in filters.items() for value in sorted(values)]
    return _shared("runs", runs, " ".join(["psl records rerun", *asked]))


def _measure(config: dict[str, Any]) -> str:
    """Return the command that measures runs of this place."""
    noise = config.get("noise_ratio")
    ratio = "" if noise is None else f" --noise-ratio {noise:g}"
    return f"psl dynamics --dataset {config['dataset']} --setting {config['setting']}{ratio}"


def _shared(column: str, runs: list[dict[str, Any]], again: str) -> dict[str, Any]:
    return {
        "column": column,
        "count": len(runs),
        "seeds": sorted({run["config"]["seed"] for run in runs}),
        "devices": sorted({run["device"] for run in runs}),
        "digests": sorted({run["code_digest"] for run in runs}),
        "again": again,
    }


def take_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Name the file of each figure of a page, link it, and write below it what it came from."""
    if app.builder.format != "html":
        return
    root, page = Path(app.srcdir), app.env.docname
    here = app.builder.get_target_uri(page)
    chapter = f"notebooks/{Path(page).name}.ipynb"
    for figure in doctree.findall(nodes.figure):
        image = next(iter(figure.findall(nodes.image)), None)
        if image is None or not figure["names"] or not image["uri"].endswith(".svg"):
            continue
        name, uri = figure["names"][0], image["uri"]
        pages, _ = app.env.images[uri]
        app.env.images[uri] = (pages, f"{name}.svg")
        app.env.companion_figures[name] = page  # type: ignore[attr-defined]
        file = relative_uri(here, f"_images/{name}")
        link = nodes.reference("", "", refuri=f"{file}.svg", internal=True, classes=["figure-zoom"])
        image.replace_self(link)
        drawn = (root / uri).read_text("utf-8")
        image.attributes.update(size_of(drawn))
        if small := size_of(for_phone(drawn)):
            image = picture("", **image.attributes, phone={"file": f"{file}-phone.svg", **small})
        link += image
        data = data_of(drawn)
        files = ["svg", "png", *["csv"] * bool(data), "bib"]
        fold = FOLD.render(
            name=name,
            links={KINDS.get(end, end.upper()): f"{file}.{end}" for end in files},
            command=f"make notebooks NOTEBOOKS={chapter}"
            if (root / chapter).exists()
            else "make book",
            runs=runs_of(data, *(read(root / "results") for read in (recorded, measured, tried))),
            records=relative_uri(here, "data/"),
        )
        figure.insert(len(figure), nodes.legend("", nodes.raw("", fold, format="html")))


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write PNG, data and citation beside each figure; an SVG of an earlier build has the first."""
    if exception is not None or app.builder.format != "html":
        return
    folder, root = Path(app.outdir) / "_images", Path(app.srcdir)
    made = publish.read_source(root), publish.build_of(root)
    for name, page in app.env.companion_figures.items():  # type: ignore[attr-defined]
        path = folder / f"{name}.svg"
        title = f"{app.env.titles[page].astext()}, {name}"
        place = f"{app.builder.get_target_uri(page)}#{name}"
        entry = publish.bibtex(*made, title, place)
        path.with_suffix(".bib").write_text(f"{entry}\n", "utf-8")
        text = path.read_text("utf-8")
        if data := data_of(text):
            path.with_suffix(".csv").write_text(data, "utf-8")
        elif path.with_suffix(".png").exists():
            continue
        if small := for_phone(text):
            path.with_name(f"{name}-phone.svg").write_text(compact(small), "utf-8")
        path.write_text(compact(text), "utf-8")
        drawn = bytes(resvg_py.svg_to_bytes(svg_string=text, dpi=192, skip_system_fonts=True))
        # A figure has few colours: a palette of them makes the file half as large.
        image = Image.open(BytesIO(drawn)).convert("RGB").quantize(128)
        image.save(path.with_suffix(".png"), optimize=True)


def start(app: Sphinx) -> None:
    """Remember the figures of pages that are not read again."""
    if not hasattr(app.env, "companion_figures"):
        app.env.companion_figures = {}  # type: ignore[attr-defined]


def forget(app: Sphinx, env: Any, docname: str) -> None:
    """Forget the figures of a page that is read again."""
    known = getattr(env, "companion_figures", {})
    env.companion_figures = {name: page for name, page in known.items() if page != docname}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(picture, html=(visit_picture, depart_picture))
    app.connect("builder-inited", start, priority=900)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", take_figures, priority=900)
    app.connect("build-finished", write_files, priority=200)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}

"""The rows for printed values: one for every number of the tables and figures, none typed."""

from __future__ import annotations

from typing import Any

from companion.experiments import Cell, cells
from companion.names import BACKBONES, written
from companion.records import has_fingerprint

__all__ = ["value_rows"]

# Table -> the paper's section, and the chapter that shows the runs.
_WHERE = {
    "table1_iid": ("5.2", "table-1", "06-iid"),
    "table2_ood": ("5.2", "table-2", "07-noise"),
    "figure2_and_c1_c4_noise": ("C.1", "figure-c1-c4", "07-noise"),
    "table_c4_softplus_iid": ("C.2", "table-c4", "10-variants"),
    "table_c5_softplus_ood": ("C.2", "table-c5", "10-variants"),
    "figures_c5_c8_softplus_noise": ("C.2", "figure-c5-c8", "10-variants"),
    "table_c6_extension_forms": ("C.3", "table-c6", "10-variants"),
}
_SETTINGS = {"iid": "IID", "ood": "out of distribution", "noise": "noise"}
# Two mistakes that any value must notice, in turn; the second where the right data is known.
_MUTANTS = ("metrics-lower", "shuffled-test-split")


def value_rows() -> list[dict[str, Any]]:
    """Return a row of the ledger for each printed value of the paper, in the order of its tables.

    A cell that several tables print stands once, under the first of them.
    """
    found = [c for c in cells("all") if c.source in _WHERE]
    return [_row(c, metric, k) for c in found for k, metric in enumerate(c.printed)]


def _row(cell: Cell, metric: str, number: int) -> dict[str, Any]:
    section, name, chapter = _WHERE[cell.source]
    place = {k: v for k, v in cell.where.items() if v is not None and k != "seed"}
    words = [name, place["dataset"].removeprefix("amazon-"), place["backbone"], place["loss"]]
    words += [f"{place['noise_ratio']:g}"] if "noise_ratio" in place else []
    words += [place["form"]] if "form" in place else []
    model = f"{written(place['loss'])}, {BACKBONES[place['backbone']]}"
    statement = f"{written(metric)} of {model} on {place['dataset']} ("
    statement += _SETTINGS[place["setting"]]
    statement += f", ratio {place['noise_ratio']:g}" if "noise_ratio" in place else ""
    statement += ", inside form" if "form" in place else ""
    return {
        "id": "-".join([*words, metric.replace("@", "-")]),
        "section": section,
        "kind": "value",
        "statement": statement + ").",
        "chapter": chapter,
        "check": "printed-value",
        "arguments": {
            **place,
            "metric": metric,
            "paper": cell.printed[metric],
            "tolerance": 0.05,
            # A table prints four decimals; a figure was read off the drawing, to five.
            "rounding": 0.5e-5 if "figure" in cell.source else 0.5e-4,
        },
        "tolerance_source": "where one more run would fall, 95 of 100; 5 % below five seeds",
        "mutant": _MUTANTS[number % 2 if has_fingerprint(place) else 0],
    }

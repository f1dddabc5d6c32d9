"""What a figure was drawn from: kept on the figure, and written into its SVG as a description."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from companion.figures.panels import for_a_phone

__all__ = ["keeps_data", "svg"]

P = ParamSpec("P")


def keeps_data(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function that draws keep on its figure, as ``drawn_from``, the table it was given.

    A table stays as it is; of several by name a column ``of`` has the name.  Arrays are columns,
    the shorter filled up with NaN.
    """
    signature = inspect.signature(draw)

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = draw(*args, **kwargs)
        parts = [_table(*a) for a in signature.bind(*args, **kwargs).arguments.items()]
        figure.drawn_from = pd.concat(parts, axis=1)  # type: ignore[attr-defined]
        figure.draw_again = lambda: draw(*args, **kwargs)  # type: ignore[attr-defined]
        return figure

    return wrapped


def _table(name: str, value: Any) -> pd.DataFrame:
    """Return an argument as a table; empty where it holds no data, but a word or a switch."""
    if isinstance(value, pd.DataFrame):
        return value.reset_index(drop=True)
    if isinstance(value, np.ndarray):
        rows = np.atleast_2d(value)
        heads = [name] if len(rows) == 1 else [f"{name} {k}" for k in range(len(rows))]
        return pd.DataFrame(dict(zip(heads, rows, strict=True)))
    if not isinstance(value, Mapping) or not value:
        return pd.DataFrame()
    every = list(value.values())
    if all(isinstance(one, np.ndarray) and one.ndim == 1 for one in every):
        return pd.DataFrame({str(key): pd.Series(one) for key, one in value.items()})
    if all(isinstance(one, (pd.DataFrame, np.ndarray, Sequence)) for one in every) and not any(
        isinstance(one, str) for one in every
    ):
        tables = {str(key): pd.DataFrame(one) for key, one in value.items()}
        return pd.concat(tables, names=["of", "step"]).reset_index()
    return pd.DataFrame()


def svg(figure: Figure) -> str:
    """Return a figure as SVG, the same bytes each time.

    Its description is its data as CSV, its relation the same figure as drawn for a phone.
    """
    table: pd.DataFrame | None = getattr(figure, "drawn_from", None)
    metadata: dict[str, str | None] = {"Date": None}
    if table is not None:
        metadata["Description"] = table.to_csv(index=False, float_format="%.6g")
        with for_a_phone():
            metadata["Relation"] = _written(figure.draw_again(), {"Date": None})  # type: ignore[attr-defined]
    return _written(figure, metadata)


def _written(figure: Figure, metadata: dict[str, str | None]) -> str:
    written = BytesIO()
    figure.savefig(written, format="svg", bbox_inches="tight", metadata=metadata)
    return written.getvalue().decode()

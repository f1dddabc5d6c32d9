"""Tables of one's own interactions, made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion import datasets

DECIMAL_COMMAS = "user;item;stars\nRené;Käse;4,5\nZoë;Käse;2,5\n"


def table(seed: int = 0, rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": [f"u{x:03}" for x in rng.integers(0, 60, rows)],
            "item": [f"i{x:03}" for x in (rng.pareto(1.2, rows) * 8).astype(int) % 90],
            "rating": rng.integers(1, 6, rows),
            "timestamp": rng.permutation(rows),
        }
    )


def parquet(rows: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Read a table as if a Parquet file had held it, whether pyarrow is installed or not."""
    (folder / "t.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", lambda _: rows)
    return datasets.read_table(folder / "t.parquet", rating="rating", timestamp="timestamp")

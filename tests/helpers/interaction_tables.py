"""Tables of one's own interactions, made up."""

from __future__ import annotations

import numpy as np
import pandas as pd


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

"""From a table of a million rows to recommendations in under ten minutes of computing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROWS, USERS, ITEMS, GROUPS = 1_000_000, 60_000, 30_000, 50
BUDGET_SECONDS = 600.0
# What a first model of a large table needs on a CPU; the usual values are those of the paper.
QUICK = ("--epochs", "5", "--negatives", "100", "--batch-size", "4096", "--validate-every", "1")
LEARN = ("--protocol", "clean", "--lr", "0.03", "--tau", "0.1")


def heavy_tailed(rng: np.random.Generator) -> pd.DataFrame:
    """Users and items of Zipf-like popularity; seven pairs of ten are of the user's own groups."""
    chance = [1 / (np.arange(n) + 20) ** power for n, power in ((USERS, 0.7), (ITEMS, 0.9))]
    users, items = (rng.choice(len(p), ROWS, p=p / p.sum()) for p in chance)
    group, tastes = rng.integers(GROUPS, size=ITEMS), rng.integers(GROUPS, size=(USERS, 3))
    wanted = tastes[users, rng.integers(3, size=ROWS)]
    own = rng.random(ROWS) < 0.7
    for k in range(GROUPS):
        rows, inside = np.flatnonzero(own & (wanted == k)), np.flatnonzero(group == k)
        p = chance[1][inside] / chance[1][inside].sum()
        items[rows] = rng.choice(inside, len(rows), p=p)
    return pd.DataFrame(
        {"user": [f"C{u:06}" for u in users], "item": [f"sku-{i:05}" for i in items]}
    )


def _cpu_seconds() -> float:
    """Return what the commands have computed so far, on all cores: a busy machine adds little."""
    used = os.times()
    return used.children_user + used.children_system


@pytest.mark.soak
def test_from_a_table_to_recommendations(tmp_path: Path) -> None:
    heavy_tailed(np.random.default_rng(0)).to_csv(tmp_path / "shop.csv", index=False)
    steps = {
        "split": ("data", "split", "shop.csv", "--core", "5", "--output", "shop.zip"),
        "train": ("train", "--dataset", "shop.zip", *QUICK, *LEARN, "--save", "m.safetensors"),
        "evaluate": ("evaluate", "m.safetensors", "--on", "shop.zip", "--floor", "popular"),
        "one user": ("recommend", "m.safetensors", "--user", "C000042", "--k", "10"),
        "all users": ("recommend", "m.safetensors", "--all", "--output", "lists.csv"),
    }
    computed, said = dict.fromkeys(steps, 0.0), dict.fromkeys(steps, "")
    for name, words in steps.items():
        started, before = time.monotonic(), _cpu_seconds()
        asked = [*words, "--json"] if name == "evaluate" else [*words]
        done = subprocess.run(
            [sys.executable, "-m", "companion", *asked],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        computed[name], said[name] = _cpu_seconds() - before, done.stdout
        assert done.returncode == 0, done.stderr
        wall = time.monotonic() - started
        print(f"{name}: {wall:.0f} s, {computed[name]:.0f} s of computing")
    print(f"together: {sum(computed.values()):.0f} s of computing")
    assert "1,000,000" in said["split"] and "sku-" in said["one user"]
    told = json.loads(said["evaluate"])
    model, popular = told["files"][0]["metrics"], told["floors"][0]["metrics"]
    assert model["ndcg@20"] > popular["ndcg@20"], "it learned more than what is popular"
    assert (tmp_path / "lists.csv").stat().st_size > 0
    # Of one core: what others do on the machine adds nothing to it.
    assert sum(computed.values()) < BUDGET_SECONDS

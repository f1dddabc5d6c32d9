"""The examples in docstrings print what they say, and those of the README run."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from companion.datasets import synthetic

ROOT = Path(__file__).parents[2]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "psl").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_there_are_some() -> None:
    assert len(WITH_EXAMPLES) > 1


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    done = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted and not done.failed


def test_the_readme_trains_and_draws_anew_in_every_step_of_every_epoch() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    g = torch.Generator().manual_seed(0)
    train, _ = synthetic(np.random.default_rng(0), 30, 90, relevant=20, observed=8)
    tables = {
        f"{side}_table": torch.randn(n, 4, generator=g).requires_grad_()
        for side, n in (("user", 30), ("item", 90))
    }
    drawn = []
    for epoch, step in ((1, 1), (1, 2), (2, 1), (2, 2)):
        names: dict[str, Any] = {"positive": torch.zeros(2), "negative": torch.zeros(2, 3)}
        names |= {"train": train, "seed": 0, "epoch": epoch, "step": step, **tables}
        names |= {"users": torch.arange(8), "positives": torch.arange(8)}
        exec(code, names)
        drawn.append(names["negatives"])
    assert all(t.grad is not None and t.grad.any() for t in tables.values())
    assert drawn[0].shape == (8, 100)
    # A few places agree by chance.
    assert all((a == b).double().mean() < 0.1 for a in drawn for b in drawn if a is not b)

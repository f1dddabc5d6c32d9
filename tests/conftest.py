"""Tests that need a GPU, hours or patience are skipped, visibly, unless asked for."""

from __future__ import annotations

import pytest

ASKED_FOR = {
    "gpu": "needs a CUDA device",
    "paper_scale": "trains at the paper's scale",
    "soak": "runs for a long time",
    "thorough": "one more of many like it",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, what in ASKED_FOR.items():
        flag = f"--run-{name.replace('_', '-')}"
        parser.addoption(flag, action="store_true", help=f"run the tests marked {name} ({what})")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("markexpr", default="") or ""
    for name, what in ASKED_FOR.items():
        flag = f"--run-{name.replace('_', '-')}"
        if config.getoption(flag) or name in chosen:
            continue
        skip = pytest.mark.skip(reason=f"{what}: {flag}")
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(skip)
    # The workers take files in this order: a long one that begins last would have one to itself.
    items.sort(key=lambda item: item.get_closest_marker("first") is None)

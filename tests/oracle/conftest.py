"""An implementation of the operators, in this process or in one whose Triton interprets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

INTERPRET = {"TRITON_INTERPRET": "1", "PSL_TRITON_CPU": "1"}


@pytest.fixture(scope="module")  # ended with its file: others look at what children there are
def interpreter() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in INTERPRET.items():
                patch.setenv(name, value)
            pool.submit(os.getpid).result()  # the process starts here, with these variables
        yield pool


@pytest.fixture
def one_more(impl: str, request: pytest.FixtureRequest) -> Callable[[bool], None]:
    """Skip what is more of the same where Triton interprets, which takes long: --run-thorough."""

    def skip(more: bool) -> None:
        if more and impl == "triton" and not request.config.getoption("--run-thorough"):
            pytest.skip("one more of many like it, interpreted: --run-thorough")

    return skip


@pytest.fixture
def call(impl: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a function of ``operator_cases`` with the name of the implementation."""

    def run(function: Callable[..., Any], *args: Any, **how: Any) -> Any:
        if impl != "triton":
            return function(impl, *args, **how)
        pool = request.getfixturevalue("interpreter")
        return pool.submit(function, impl, *args, **how).result()

    return run

"""The ranking kernel against a sort in float64, and a ranking with it against one without it."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from companion.threads import torch_threads
from psl.evaluation import MOST_PLACES, evaluate
from psl.interactions import Interactions

pytest.importorskip("numba", reason="numba is missing")
kernels = pytest.importorskip("psl.kernels.cpu")


def tables(rng: np.random.Generator, users: int, items: int, dim: int, exact: bool) -> list[Tensor]:
    """Return embeddings; with ``exact`` of whole numbers: no product is rounded, ties are many."""
    made = (
        rng.integers(-2, 3, (n, dim)) if exact else rng.standard_normal((n, dim))
        for n in (users, items)
    )
    return [torch.from_numpy(x).float() for x in made]


def pairs(rng: np.random.Generator, users: int, items: int, most: int) -> Interactions:
    """Return up to ``most`` items of each user, of some none, of the last one all."""
    rows = [np.sort(rng.permutation(items)[: rng.integers(0, most + 1)]) for _ in range(users - 1)]
    rows.append(np.arange(items))
    indptr = np.cumsum([0, *map(len, rows)])
    return Interactions(indptr, np.concatenate(rows).astype(np.int64), items)


def sorted_lists(scores: np.ndarray, left_out: Interactions, depth: int) -> tuple[Any, ...]:
    scores = scores.copy()
    scores[left_out.users, left_out.items] = -np.inf
    items = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.lexsort((items, -scores), axis=1)[:, :depth]
    best = np.take_along_axis(scores, order, 1)
    return scores, best, order, (scores == best[:, -1:]).sum(1)


def narrow(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Let a block have so many columns; the folder's name for the module is that of the kernel."""
    module = sys.modules["psl.kernels.cpu.best_items"]
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(module, "COLUMNS", columns)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("users", "items", "dim", "depth", "columns"),
    [
        (7, 1, 3, 1, 512),
        (1, 700, 64, 20, 90),
        (40, 300, 5, 20, 64),
        (33, 1000, 16, 51, 333),
        (20, 128, 4, 128, 17),
        (5, 2000, 8, 1, 512),
    ],
)
def test_the_kernel_is_a_sort(
    users: int, items: int, dim: int, depth: int, columns: int, exact: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    narrow(monkeypatch, columns)
    rng = np.random.default_rng(items)
    u, v = tables(rng, users, items, dim, exact)
    left_out, wanted = (pairs(rng, users, items, items // k) for k in (3, 2))
    ranges = [tuple(map(torch.from_numpy, (x.indptr, x.items))) for x in (left_out, wanted)]
    best, index, level, own = (x.numpy() for x in kernels.best_items(u, v, ranges, depth))
    scores, sure, order, many = sorted_lists(
        u.double().numpy() @ v.double().numpy().T, left_out, depth
    )
    there = sure != -np.inf
    if exact:
        assert (best == sure).all() and (index == order)[there].all()
        assert (level == many)[there[:, -1]].all() and (
            own == scores[wanted.users, wanted.items]
        ).all()
        return
    # Rounding may exchange neighbours: what stands at a place has the score of that place.
    for got, expected in ((best, sure), (own, scores[wanted.users, wanted.items])):
        assert np.allclose(got, expected, rtol=1e-5, atol=1e-5)
    placed = np.take_along_axis(scores, index, 1)
    assert np.allclose(placed[there], best[there], rtol=1e-5, atol=1e-5)
    assert all(len(set(row[some])) == some.sum() for row, some in zip(index, there, strict=True))
    gap = np.abs(np.diff(np.where(there, sure, -99), axis=1, prepend=99, append=-99))
    apart = (gap[:, :-1] > 1e-4) & (gap[:, 1:] > 1e-4) & there
    assert (index == order)[:, :-1][apart[:, :-1]].all()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    users, items = draw(st.integers(1, 12)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    u, v = tables(rng, users, items, draw(st.integers(1, 4)), exact=True)
    masked, target = (pairs(rng, users, items, draw(st.integers(0, items))) for _ in range(2))
    if draw(st.booleans()):
        u[0, 0], v[-1, 0] = draw(st.sampled_from([math.inf, -math.inf])), 1.0
    return u, v, target, masked, draw(st.integers(1, 100)), draw(st.integers(1, 13))


@settings(deadline=None)  # the first example loads the kernel
@given(problems())
def test_a_ranking_with_the_kernel_is_one_without(problem: tuple[Any, ...]) -> None:
    """Also of lists longer than what may be recommended, and of infinite scores."""
    u, v, target, masked, k, rows = problem
    found: list[Any] = []
    for word in ("on", "off"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PSL_KERNELS", word)
            narrow(patch, 16)
            try:
                found.append(
                    evaluate(lambda ids: (u[ids], v), target, masked, cutoffs=(k,), rows=rows)
                )
            except ValueError as error:  # infinity times zero
                found.append(str(error))
    assert found[0] == found[1]


def world(seed: int = 0) -> tuple[Tensor, Tensor, Interactions, Interactions]:
    rng = np.random.default_rng(seed)
    return (
        *tables(rng, 70, 1500, 64, exact=False),
        pairs(rng, 70, 1500, 30),
        pairs(rng, 70, 1500, 60),
    )


@pytest.mark.parametrize("kernels", ["on", "off"])
def test_the_same_bits_for_any_number_of_users_at_once(
    kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics are added in one order: records made with other blocks come out again."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    rng = np.random.default_rng(0)
    u, v = tables(rng, 2500, 700, 64, exact=False)
    masked, target = pairs(rng, 2500, 700, 30), pairs(rng, 2500, 700, 60)
    found = [
        evaluate(lambda ids: (u[ids], v), target, masked, rows=rows) for rows in (512, 1024, 4096)
    ]
    assert all(x == found[0] for x in found)


@pytest.mark.parametrize("k", [20, MOST_PLACES, MOST_PLACES + 1])
def test_any_number_of_threads_and_no_kernel(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    u, v, target, masked = world()
    found = []
    for word, threads in (("on", 1), ("on", 2), ("off", 1), ("off", 2)):
        monkeypatch.setenv("PSL_KERNELS", word)
        with torch_threads(threads):
            found.append(evaluate(lambda ids: (u[ids], v), target, masked, cutoffs=(k,), rows=32))
    assert all(x == found[0] for x in found)


@pytest.mark.parametrize("k", [1, 20])
@pytest.mark.parametrize("where", [0, 700, 1498])
def test_a_score_that_is_not_a_number_is_seen(k: int, where: int) -> None:
    u, v, target, masked = world()
    v[where, 3] = math.nan
    with pytest.raises(ValueError, match="not a number"):
        evaluate(lambda ids: (u[ids], v), target, masked, cutoffs=(k,))
    everywhere = Interactions.from_pairs(
        np.repeat(np.arange(70), 2), np.tile([where, 5], 70), 70, 1500
    )
    evaluate(lambda ids: (u[ids], v), target, everywhere, cutoffs=(k,))  # where it is left out


class Largest(TorchDispatchMode):
    """Sees the largest tensor that a call makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, Tensor) and x._is_view() is False:
                self.numbers = max(self.numbers, x.numel())
        return out


def test_no_row_of_scores_is_whole_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    u, v = tables(rng, 64, 200_000, 4, exact=False)
    few = Interactions.from_pairs(np.arange(64), np.arange(64), 64, 200_000)
    seen = {}
    for word in ("on", "off"):
        monkeypatch.setenv("PSL_KERNELS", word)
        with Largest() as mode:
            evaluate(lambda ids: (u[ids], v), few, few, cutoffs=(20,), rows=64)
        seen[word] = mode.numbers
    assert seen["on"] < 2**20 and seen["off"] >= 64 * 200_000

"""The same work in other libraries, where one can do it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.sparse import csr_matrix

from benchmarks.measure import in_turns
from benchmarks.trainer import CASES, ITEMS, SIZES, USERS, epochs, likeness
from psl.dataset import Dataset
from psl.evaluation import evaluate
from psl.interactions import Interactions
from psl.models.backbones import BACKBONES
from psl.models.graph_models import LightGCN
from psl.training import RunConfig
from psl.training.loop import selection


def lightgcn_step(repeat: int) -> dict[str, Any]:
    """LightGCN's propagation and its gradient, two layers: PyTorch Geometric's and ours (CPU)."""
    from torch_geometric.nn import LightGCN as Theirs
    from torch_geometric.utils import to_undirected

    train = likeness().train
    g = torch.Generator().manual_seed(0)
    mine = LightGCN(train, 64, layers=2, score="inner", init_std=0.1, generator=g)
    theirs = Theirs(USERS + ITEMS, 64, 2)
    edges = torch.stack([torch.from_numpy(train.users), torch.from_numpy(train.items) + USERS])
    edges = to_undirected(edges, num_nodes=USERS + ITEMS)

    def plain() -> None:
        theirs.get_embedding(edges).square().sum().backward()
        theirs.zero_grad()

    def ours() -> None:
        users, items = mine.tables()
        (users.square().sum() + items.square().sum()).backward()
        mine.zero_grad()

    return {
        "library": "PyTorch Geometric",
        "work": "LightGCN: two propagations and their gradient",
        **in_turns(plain, ours, torch.device("cpu"), repeat),
    }


def graph_steps(repeat: int) -> list[dict[str, Any]]:
    """Embed a batch by LightGCN and XSimGCL, with the gradient: plain torch's and ours (CPU).

    Plain torch multiplies by the same sparse matrices, in CSR.
    """
    data, out = likeness("gowalla"), []
    g = torch.Generator().manual_seed(0)
    sizes = data.train.num_users, data.train.num_items
    users, positive = (torch.randint(n, (1024,), generator=g) for n in sizes)
    for name in ("lightgcn", "xsimgcl"):
        build = BACKBONES[name].build
        model = build(data.train, 64, score="cosine", init_std=0.1, generator=g)

        def ours(model: Any = model) -> None:
            u, v, own = model(users, positive, 0)
            (u.square().sum() + v[positive].sum() + (0 if own is None else own)).backward()
            model.zero_grad()

        def plain(ours: Callable[[], None] = ours) -> None:
            with patch.dict(os.environ, PSL_KERNELS="off"):
                ours()

        work = f"{name}, {sizes[1]:,} items: a batch embedded, and the gradient"
        measured = in_turns(plain, ours, torch.device("cpu"), repeat)
        out.append({"library": "PyTorch", "work": work, **measured})
    return out


def _implicit(told: Callable[[str], object]) -> Any:
    """Return the package implicit, or ``None`` where it is not installed."""
    try:
        import implicit.cpu.bpr
        import implicit.cpu.topk
    except ImportError:
        told("implicit is not installed (extra baselines): left out")
        return None
    return implicit.cpu


def _one_thread_of_blas() -> Any:
    """Let implicit's own threads be all there are: it asks for that itself."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")


def _scipy(pairs: Interactions) -> Any:
    ones = np.ones(len(pairs), np.float32)
    places = pairs.items.astype(np.int32), pairs.indptr.astype(np.int32)
    return csr_matrix((ones, *places), shape=(pairs.num_users, pairs.num_items))


def ranking(repeat: int, told: Callable[[str], object]) -> list[dict[str, Any]]:
    """Take the 20 best items of every user, those of training left out: implicit's and ours.

    Ours goes on to Recall, NDCG and MRR.
    """
    out: list[dict[str, Any]] = []
    if (implicit := _implicit(told)) is None:
        return out
    for name in SIZES:
        data, g = likeness(name), torch.Generator().manual_seed(0)
        sizes = data.train.num_users, data.train.num_items
        users, items = (torch.randn(n, 64, generator=g) for n in sizes)
        seen = _scipy(data.train)

        def plain(items: Any = items, users: Any = users, seen: Any = seen) -> None:
            threads, tables = torch.get_num_threads(), (items.numpy(), users.numpy())
            with _one_thread_of_blas():
                implicit.topk.topk(*tables, 20, filter_query_items=seen, num_threads=threads)

        def ours(items: Any = items, users: Any = users, data: Dataset = data) -> None:
            evaluate(lambda chosen: (users[chosen], items), data.test, data.train, cutoffs=(20,))

        work = f"the 20 best of {sizes[1]:,} items for {sizes[0]:,} users"
        measured = in_turns(plain, ours, torch.device("cpu"), repeat)
        out.append({"library": "implicit", "work": work, **measured})
    return out


def bpr_epochs(repeat: int, told: Callable[[str], object]) -> list[dict[str, Any]]:
    """Take an epoch of BPR: stochastic descent of implicit and of Cornac, Adam of ours.

    Ours is taken twice: Adam moves every row in a step, sparse Adam those of its batch.  All see
    the same pairs, one negative each, in turns; a ratio is the median of those of the turns.
    """
    case, data = CASES[0], likeness()
    pairs, _ = selection(RunConfig(dataset=data.name), data)
    fits: dict[str, Callable[[int], object]] = {}
    if (implicit := _implicit(told)) is not None:
        seen = _scipy(pairs)

        def fit_implicit(rounds: int) -> None:
            # With its bias a factor is 64 numbers.
            threads = torch.get_num_threads()
            model = implicit.bpr.BayesianPersonalizedRanking(
                factors=63, iterations=rounds, num_threads=threads, random_state=0
            )
            with _one_thread_of_blas():
                model.fit(seen, show_progress=False)

        fits["implicit"] = fit_implicit
    try:
        from cornac.data import Dataset as Theirs
        from cornac.models import BPR
    except ImportError:
        told("cornac is not installed (extra bench): left out")
    else:
        rows = zip(pairs.users.tolist(), pairs.items.tolist(), [1.0] * len(pairs), strict=True)
        table = Theirs.from_uir(list(rows))
        fits["Cornac"] = lambda rounds: BPR(
            k=64, max_iter=rounds, num_threads=torch.get_num_threads(), seed=0
        ).fit(table)
    turns: list[dict[str, float]] = []
    for _ in range(repeat if fits else 0):
        turns.append({name: _epoch_seconds(fit) for name, fit in fits.items()})
        for optimizer in ("adam", "sparse-adam"):
            (ours,) = epochs("cpu", told, [(*case, optimizer)])
            turns[-1][optimizer] = ours["seconds"]
    return [
        {
            "library": library,
            "work": f"matrix factorisation with BPR, ours with {optimizer}: an epoch",
            "plain_seconds": statistics.median(turn[library] for turn in turns),
            "ours_seconds": statistics.median(turn[optimizer] for turn in turns),
            "ratio": statistics.median(turn[library] / turn[optimizer] for turn in turns),
        }
        for library in fits
        for optimizer in ("adam", "sparse-adam")
    ]


def _epoch_seconds(fit: Callable[[int], object]) -> float:
    """Return the seconds of a round: eleven rounds less one are ten without the preparation."""
    spent = []
    for rounds in (1, 11):
        begin = time.perf_counter()
        fit(rounds)
        spent.append(time.perf_counter() - begin)
    return (spent[1] - spent[0]) / 10

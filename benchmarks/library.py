"""The same work in other libraries, where one can do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measure import in_turns
from benchmarks.trainer import CASES, ITEMS, USERS, epochs, likeness
from psl.models.backbones import LightGCN


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


def bpr_epoch(told: Callable[[str], object]) -> dict[str, Any] | None:
    """Matrix factorisation with BPR, an epoch: Cornac's (stochastic descent) and ours (Adam)."""
    try:
        from cornac.data import Dataset
        from cornac.models import BPR
    except ImportError:
        told("cornac is not installed (extra bench): left out")
        return None
    train = likeness().train
    rows = zip(train.users.tolist(), train.items.tolist(), [1.0] * len(train), strict=True)
    data = Dataset.from_uir(list(rows))
    spent = []
    for rounds in (1, 11):  # the difference is ten epochs without the preparation
        model = BPR(k=64, max_iter=rounds, num_threads=torch.get_num_threads(), seed=0)
        begin = time.perf_counter()
        model.fit(data)
        spent.append(time.perf_counter() - begin)
    theirs = (spent[1] - spent[0]) / 10
    ours = epochs("cpu", told, CASES[:1])[0]["seconds"]
    return {
        "library": "Cornac",
        "work": "matrix factorisation with BPR: an epoch, one negative for each pair",
        "plain_seconds": theirs,
        "ours_seconds": ours,
        "ratio": theirs / ours,
    }

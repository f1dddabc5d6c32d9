"""Metrics against torchmetrics and against loops over sorted Python lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.retrieval import retrieval_normalized_dcg, retrieval_recall

from psl.evaluation import CUTOFFS, evaluate, metrics_from_hits
from psl.interactions import Interactions

USERS, ITEMS, DIM = 30, 70, 5


def world(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Interactions, Interactions]:
    g, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    u = torch.randn(USERS, DIM, generator=g, dtype=torch.float64)
    v = torch.randn(ITEMS, DIM, generator=g, dtype=torch.float64)
    chosen = np.stack([rng.permutation(ITEMS)[:18] for _ in range(USERS)])
    train = Interactions.from_pairs(
        np.repeat(np.arange(USERS), 10), chosen[:, :10].ravel(), USERS, ITEMS
    )
    # User k has k % 9 relevant items: some have none.
    rows = [(u_, i) for u_ in range(USERS) for i in chosen[u_, 10 : 10 + u_ % 9]]
    users, items = np.array(rows).T
    return u, v, train, Interactions.from_pairs(users, items, USERS, ITEMS)


def ours(u: torch.Tensor, v: torch.Tensor, *args: Interactions, **options) -> dict[str, float]:
    return evaluate(lambda ids: (u[ids], v), *args, **options)


def loop(
    scores: list[list[float]], target: Interactions, masked: Interactions, k: int
) -> dict[str, float]:
    recall = ndcg = mrr = every = 0.0
    for user, row in enumerate(scores):
        banned, wanted = set(masked.of(user).tolist()), set(target.of(user).tolist())
        order = sorted((i for i in range(ITEMS) if i not in banned), key=lambda i: -row[i])[:k]
        places = [r for r, i in enumerate(order, start=1) if i in wanted]
        if places:
            recall += len(places) / len(wanted)
            ideal = sum(1 / math.log2(1 + r) for r in range(1, min(k, len(wanted)) + 1))
            ndcg += sum(1 / math.log2(1 + r) for r in places) / ideal
            mrr += 1 / places[0]
            every += sum(1 / r for r in places) / len(places)
    sums = {"recall": recall, "ndcg": ndcg, "mrr": mrr, "mrr_all_hits": every}
    return {f"{name}@{k}": value / USERS for name, value in sums.items()}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("rows", [1, 7, 512])
def test_against_loops(seed: int, rows: int) -> None:
    u, v, train, test = world(seed)
    got = ours(u, v, test, train, cutoffs=(1, 5, 20, 60), rows=rows)
    for k in (1, 5, 20, 60):
        for name, value in loop((u @ v.T).tolist(), test, train, k).items():
            assert got[name] == pytest.approx(value, abs=1e-12)


def test_the_reciprocal_rank_is_that_of_the_first_hit() -> None:
    """Hits at ranks 1 and 10; the public code's mean over all hits has a name of its own."""
    hits = torch.zeros(1, 10, dtype=torch.bool)
    hits[0, [0, 9]] = True
    got = metrics_from_hits(hits, torch.tensor([2]), (10,))
    assert float(got["mrr@10"]) == 1 and float(got["mrr_all_hits@10"]) == pytest.approx(0.55)
    none = metrics_from_hits(torch.zeros(1, 10).bool(), torch.tensor([2]), (10,))
    assert set(map(float, none.values())) == {0}


def tied(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(-1, 2, (n, 3), generator=g).double() for n in (USERS, ITEMS))


@pytest.mark.parametrize("seed", [0, 1])
def test_ties_against_the_mean_over_random_orders(seed: int) -> None:
    """A shuffle of the catalogue is a random order of equal scores to the loop, which is stable."""
    _, _, train, test = world(seed)
    u, v = tied(seed)
    ks, draws, rng = (1, 5, 20, 60), 400, np.random.default_rng(seed)
    got = ours(u, v, test, train, cutoffs=ks)
    scores = (u @ v.T).numpy()
    samples: dict[str, list[float]] = {}
    for _ in range(draws):
        noise = rng.random((USERS, ITEMS)) * 0.5  # scores are whole numbers
        for k in ks:
            for name, value in loop((scores + noise).tolist(), test, train, k).items():
                samples.setdefault(name, []).append(value)
    for name, values in samples.items():
        if name.startswith("mrr_all"):
            continue  # a quotient, see the docstring
        error = np.std(values) / math.sqrt(draws)
        assert abs(got[name] - np.mean(values)) < 5 * error + 1e-12, name


def test_ties_do_not_depend_on_cut_offs_ids_or_blocks() -> None:
    _, _, train, test = world()
    u, v = tied(0)
    alone = ours(u, v, test, train, cutoffs=(20,))
    for options in ({"cutoffs": (5, 20, 50)}, {"cutoffs": (20, ITEMS + 9)}, {"rows": 7}):
        more = ours(u, v, test, train, **{"cutoffs": (20,), **options})
        assert {name: more[name] for name in alone} == pytest.approx(alone, abs=1e-12)
    order = np.random.default_rng(0).permutation(ITEMS)
    moved = [Interactions.from_pairs(x.users, order[x.items], USERS, ITEMS) for x in (test, train)]
    there = torch.empty_like(v)
    there[torch.from_numpy(order)] = v
    assert ours(u, there, *moved, cutoffs=(20,)) == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("k", [1, 20, 60, 65, 100])
def test_scores_that_are_all_equal(k: int) -> None:
    """Ten of 70 items are masked; a random order finds k of the other 60."""
    u, v, train, test = world()
    got = ours(0 * u, v, test, train, cutoffs=(k,))
    some = (test.degrees > 0).mean()
    assert got[f"recall@{k}"] == pytest.approx(some * min(1, k / 60))
    # The first of n hits among 60 places stands at (60 + 1) / (n + 1) in the mean, and its
    # reciprocal is a sum over places.
    first = [
        sum(math.comb(60 - r, n - 1) / math.comb(60, n) / r for r in range(1, min(k, 61 - n) + 1))
        for n in test.degrees
        if n
    ]
    assert got[f"mrr@{k}"] == pytest.approx(sum(first) / USERS)
    places = range(1, min(k, 60) + 1)
    mean = sum(1 / r for r in places) / len(places)
    assert got[f"mrr_all_hits@{k}"] == pytest.approx(some * mean)
    assert all(value <= 1 for value in got.values())


def test_nothing_need_be_masked() -> None:
    """Where items are consumed again, those of the train set are as good as any."""
    u, v, train, _ = world()
    scores = (u @ v.T).tolist()
    got = ours(u, v, train, None, cutoffs=(20,))
    nothing = Interactions(np.zeros(USERS + 1, dtype=np.int64), train.items[:0], ITEMS)
    assert got == pytest.approx(loop(scores, train, nothing, 20))
    assert got == ours(u, v, train, nothing, cutoffs=(20,))


def test_against_torchmetrics() -> None:
    u, v, train, test = world(2)
    got = ours(u, v, test, train, cutoffs=(5, 20))
    for k in (5, 20):
        recall, ndcg = [], []
        for user in range(USERS):
            score = (v @ u[user]).clone()
            keep = torch.ones(ITEMS, dtype=torch.bool)
            keep[train.of(user)] = False
            wanted = torch.zeros(ITEMS, dtype=torch.bool)
            wanted[test.of(user)] = True
            recall.append(float(retrieval_recall(score[keep], wanted[keep], top_k=k)))
            ndcg.append(float(retrieval_normalized_dcg(score[keep], wanted[keep].long(), top_k=k)))
        assert got[f"recall@{k}"] == pytest.approx(np.mean(recall), abs=1e-6)
        assert got[f"ndcg@{k}"] == pytest.approx(np.mean(ndcg), abs=1e-6)


def test_masked_items_are_never_recommended() -> None:
    """With training positives as targets the mask makes every metric zero."""
    u, v, train, _ = world()
    assert max(ours(u, v, train, train, cutoffs=(20,)).values()) == 0


@pytest.mark.parametrize("k", [60, 61, ITEMS, 1000])
def test_masked_items_are_no_hits_where_the_list_outgrows_the_rest(k: int) -> None:
    """60 items a user are not masked: from the 61st place on there is nothing to recommend."""
    u, v, train, test = world()
    assert max(ours(u, v, train, train, cutoffs=(k,)).values()) == 0
    # What is masked and wanted stays unfound, whatever the cut-off.
    both = test.union(train)
    share = torch.from_numpy(test.degrees / both.degrees).mean()
    assert ours(u, v, both, train, cutoffs=(k,))[f"recall@{k}"] == pytest.approx(float(share))


def test_a_cut_off_beyond_the_catalogue() -> None:
    u, v, train, test = world()
    got = ours(u, v, test, train, cutoffs=(ITEMS, 1000))
    assert got["recall@1000"] == got[f"recall@{ITEMS}"]
    # Everybody's relevant items are found, and users without any count as 0.
    assert got["recall@1000"] == pytest.approx((test.degrees > 0).mean())


def test_metrics_are_not_taken_of_lists_that_are_too_short() -> None:
    """Three hits of ten relevant items are no perfect list of five."""
    hits, relevant = torch.ones(1, 3, dtype=torch.bool), torch.tensor([10])
    with pytest.raises(ValueError, match="lists of 3 places have no metrics at 5"):
        metrics_from_hits(hits, relevant, (1, 5))
    longer = torch.tensor([[True, True, True, False, False]])
    got = float(metrics_from_hits(longer, relevant, (5,))["ndcg@5"])
    gains = [1 / math.log2(1 + r) for r in range(1, 6)]
    assert got == pytest.approx(sum(gains[:3]) / sum(gains))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": ITEMS - 1}, "embed gave 7 users and 69 items, wanted were 7 and 70"),
        ({"items": ITEMS + 1}, "embed gave 7 users and 71 items, wanted were 7 and 70"),
        ({"users": 1}, "embed gave 1 users and 70 items, wanted were 7 and 70"),
        ({"masked": (USERS, ITEMS + 5)}, "masked has 30 users and 75 items, target 30 and 70"),
        ({"masked": (USERS + 5, ITEMS)}, "masked has 35 users and 70 items, target 30 and 70"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, words: str) -> None:
    u, v, train, test = world()
    table = torch.cat([v, v])[: change.get("items", ITEMS)]
    if "masked" in change:
        train = Interactions.from_pairs(train.users, train.items, *change["masked"])
    with pytest.raises(ValueError, match=words):
        evaluate(lambda ids: (u[ids][: change.get("users", 7)], table), test, train, rows=7)


@pytest.mark.parametrize("side", [0, 1])
def test_a_score_that_is_not_a_number_is_no_best_score(side: int) -> None:
    u, v, train, test = world()
    (u, v)[side][11, 2] = math.nan
    with pytest.raises(ValueError, match="not a number"):
        ours(u, v, test, train, rows=7)


def test_autocast_does_not_reach_the_scores() -> None:
    u, v, train, test = world()
    u, v = u.float(), v.float()
    plain = ours(u, v, test, train)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(u, v, test, train) == plain


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_the_digits_of_the_embeddings_alone(dtype: torch.dtype) -> None:
    u, v, train, test = world()
    u, v = u.to(dtype), v.to(dtype)
    assert ours(u, v, test, train) == ours(u.float(), v.float(), test, train)


def test_a_perfect_and_a_shuffled_ranking() -> None:
    _, _, train, test = world()
    truth = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    truth[torch.from_numpy(test.users), torch.from_numpy(test.items)] = 1
    eye = torch.eye(USERS, dtype=torch.float64)
    perfect = ours(eye, truth.T.contiguous(), test, train, cutoffs=(20,))
    share = (test.degrees > 0).mean()
    assert perfect["ndcg@20"] == pytest.approx(share)
    rng = np.random.default_rng(0)
    moved = Interactions.from_pairs(test.users, rng.permutation(test.items), USERS, ITEMS)
    assert ours(eye, truth.T.contiguous(), moved, train, cutoffs=(20,))["ndcg@20"] < 0.3 * share


@pytest.mark.parametrize("cutoffs", [(), (0,), (5, -1)])
def test_a_cut_off_is_a_place_of_the_list(cutoffs: tuple[int, ...]) -> None:
    u, v, train, test = world()
    with pytest.raises(ValueError, match="cutoffs must be one or more numbers from 1 on"):
        ours(u, v, test, train, cutoffs=cutoffs)
    with pytest.raises(ValueError, match="cutoffs must be one or more numbers from 1 on"):
        metrics_from_hits(torch.zeros(2, 9).bool(), torch.ones(2).long(), cutoffs)


def test_the_usual_cut_offs() -> None:
    """Those that records hold."""
    assert CUTOFFS == (5, 10, 20, 50)


def test_embeddings_elsewhere_are_told() -> None:
    target = Interactions.from_pairs(np.arange(3), np.arange(3), 3, 5)
    tables = torch.zeros(3, 2, device="meta"), torch.zeros(5, 2, device="meta")
    with pytest.raises(ValueError, match="the embeddings are on meta and meta, not on cpu"):
        evaluate(lambda users: tables, target, None)

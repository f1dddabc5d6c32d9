"""All metrics of a file's lists: against torchmetrics, a loop, and the trainer's own evaluation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torchmetrics.functional import retrieval as oracle

from companion.serving import measure
from psl.errors import DataError
from psl.evaluation import evaluate
from psl.interactions import Interactions

USERS, ITEMS, DIM = 40, 30, 5


def problem(*, tied: bool) -> tuple[torch.Tensor, torch.Tensor, Interactions, Interactions]:
    rng = np.random.default_rng(3)
    users, items = (torch.from_numpy(rng.standard_normal((n, DIM))).float() for n in (USERS, ITEMS))
    if tied:
        users, items = users.sign(), items.round().clamp(-1, 1)
    kind = rng.random((USERS, ITEMS))
    kind[-2:] = 0.5  # nothing to find, nothing seen
    kind[0] = np.where(np.arange(ITEMS) < 25, 0.9, 0.1)  # fewer items left than a list has places
    target, seen = (
        Interactions.from_pairs(*np.nonzero(some), USERS, ITEMS)
        for some in (kind < 0.2, kind > 0.8)
    )
    return users, items, target, seen


def test_every_metric_is_that_of_torchmetrics() -> None:
    users, items, target, seen = problem(tied=False)
    found = measure(users, items, target, seen, (3, 10, ITEMS))
    scores = (users @ items.T).masked_fill(seen.mask(torch.arange(USERS)), -torch.inf)
    scores = scores.argsort(dim=1).argsort(dim=1) + 1.0  # to torchmetrics a score is above 0
    wanted = target.mask(torch.arange(USERS))
    functions = {
        "ndcg": oracle.retrieval_normalized_dcg,
        "recall": oracle.retrieval_recall,
        "precision": oracle.retrieval_precision,
        "hit_rate": oracle.retrieval_hit_rate,
        "mrr": oracle.retrieval_reciprocal_rank,
    }
    for k, user in itertools.product((3, 10, ITEMS), range(USERS - 2)):
        s, w = scores[user], wanted[user]
        for name, function in functions.items():
            expected = float(function(s, w, top_k=k))
            assert found.by_user[f"{name}@{k}"][user] == pytest.approx(expected, abs=1e-6), name
        if k == ITEMS:  # torchmetrics divides by the hits in the list, so its k is the catalogue's
            expected = float(oracle.retrieval_average_precision(s, w))
            assert found.by_user[f"map@{k}"][user] == pytest.approx(expected, abs=1e-6)
    assert all((values[-2:] == 0).all() for values in found.by_user.values())


@pytest.mark.parametrize("tied", [False, True])
def test_the_shared_metrics_are_those_of_a_record(tied: bool) -> None:
    users, items, target, seen = problem(tied=tied)
    alone = measure(users, items, target, seen, (7,)).means()  # lists that end within a tie
    assert alone["ndcg@7"] == pytest.approx(
        evaluate(lambda u: (users[u], items), target, seen, cutoffs=(7,))["ndcg@7"], abs=1e-12
    )
    for mask in (seen, None):
        found = measure(users, items, target, mask, (1, 7, 50)).means()
        record = evaluate(lambda u: (users[u], items), target, mask, cutoffs=(1, 7, 50))
        for name in ("ndcg", "recall", "mrr"):
            for k in (1, 7, 50):
                key = f"{name}@{k}"
                assert found[key] == pytest.approx(record[key], abs=1e-12), key


def orders(scores: list[float]) -> list[list[int]]:
    """Return every order that equal scores may stand in."""
    everything = itertools.permutations(range(len(scores)))
    return [list(o) for o in everything if all(scores[a] >= scores[b] for a, b in zip(o, o[1:]))]  # noqa: B905,RUF007


@pytest.mark.parametrize("values", ["aaaaaa", "abbbbc", "aabbcc", "abcdee", "abcdef"])
@pytest.mark.parametrize("hits", [(0,), (1, 2), (0, 3, 4), (1, 2, 3, 4, 5)])
def test_ties_are_the_mean_over_their_orders(values: str, hits: tuple[int, ...]) -> None:
    """By enumeration, for precision, F1, hit rate and average precision, at every cut-off."""
    scores = [-float(ord(c)) for c in values]
    users, items = torch.ones(1, 1), torch.tensor(scores)[:, None]
    target = Interactions.from_pairs(np.zeros(len(hits), int), np.array(hits), 1, 6)
    found = measure(users, items, target, None, range(1, 8)).by_user
    for k in range(1, 8):
        every = [[int(i in hits) for i in order][:k] for order in orders(scores)]
        precision = np.mean([sum(h) / k for h in every])
        hit_rate = np.mean([float(any(h)) for h in every])
        average = np.mean(
            [sum(h[r] * sum(h[: r + 1]) / (r + 1) for r in range(len(h))) for h in every]
        ) / min(k, len(hits))
        assert found[f"precision@{k}"] == pytest.approx(precision)
        recall = [sum(h) / len(hits) for h in every]
        both = zip((sum(h) / k for h in every), recall, strict=True)
        f1 = np.mean([2 * p * r / (p + r) if p + r else 0.0 for p, r in both])
        assert found[f"f1@{k}"] == pytest.approx(f1)
        assert found[f"hit_rate@{k}"] == pytest.approx(hit_rate)
        assert found[f"map@{k}"] == pytest.approx(average)
        alone = measure(users, items, target, None, (k,)).by_user  # the list may end within a tie
        assert all(alone[name] == pytest.approx(found[name]) for name in alone)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_auc_is_how_often_a_relevant_item_scores_above_another(tied: bool, masked: bool) -> None:
    users, items, target, seen = problem(tied=tied)
    left_out = seen if masked else None
    found = measure(users, items, target, left_out, (5,), auc=True)
    assert "auc" not in measure(users, items, target, left_out, (5,)).by_user
    for user in range(USERS):
        scores = (users[user] @ items.T).tolist()
        left = set(range(ITEMS)) - ({*seen.of(user).tolist()} if masked else set())
        own = left & {*target.of(user).tolist()}
        pairs = [(scores[i], scores[j]) for i in own for j in left - own]
        wins = sum((a > b) + (a == b) / 2 for a, b in pairs)
        expected = wins / len(pairs) if pairs else 0.0
        assert found.by_user["auc"][user] == pytest.approx(expected, abs=1e-9)
        if not masked and not tied and pairs:
            wanted = target.mask(torch.tensor([user]))[0]
            other = oracle.retrieval_auroc(torch.tensor(scores), wanted)
            assert expected == pytest.approx(float(other), abs=1e-6)
    assert found.means()["auc"] == pytest.approx(found.by_user["auc"].mean())


def test_coverage_and_popularity_are_of_the_lists() -> None:
    users, items, target, seen = problem(tied=False)
    some = np.array([0, 3, 5])
    found = measure(users, items, target, seen, (4,), chosen=some, counts=seen.popularity)
    listed = []
    for user in some:
        scores = users[user] @ items.T
        scores[seen.of(user)] = -torch.inf
        listed += [i for i in scores.argsort(descending=True)[:4].tolist() if scores[i] > -99]
    assert found.coverage[4] == len(set(listed)) / ITEMS
    assert found.popularity[4] == pytest.approx(seen.popularity[listed].mean())
    assert len(found.by_user["ndcg@4"]) == 3
    assert not measure(users, items, target, seen, (4,)).popularity


def test_a_score_that_is_no_number_is_refused() -> None:
    users, items, target, seen = problem(tied=False)
    items[3] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        measure(users, items, target, None)
    with pytest.raises(ValueError, match="at least one place"):
        measure(users, items, target, seen, ())

"""Checks on ranks, metrics and losses: Sections 2 and 3, equation 4.1, Appendices A.3 and B.2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.claims.subject import Subject, Verdict, check, decide, tight_users, users
from companion.reference import TAUS
from companion.theory import pairwise_differences

__all__: list[str] = []

LINKS = ("-log DCG", "-log MRR", "log rank", "PSL", "SL")


@check
def score_range(subject: Subject, tolerance: float) -> Verdict:
    """Take the scores of a random model and all differences of two items of a user."""
    g = torch.Generator().manual_seed(13)
    model = subject.backbone(40, 60, 3, score="cosine", init_std=1.0, generator=g)
    with torch.no_grad():
        u, v = model.embed(torch.arange(40))
        f = (u @ v.T).double()
        largest = float(f.abs().max())
        spread = float((f.amax(1) - f.amin(1)).max())
    holds = 0.4 < largest <= 0.5 + tolerance and spread <= 1 + tolerance
    return decide(holds, f"largest |f| {largest:.4f}, largest d {spread:.4f}, 2,400 scores")


@check
def ranks_by_comparison(subject: Subject) -> Verdict:
    """Compare with the position after sorting, ties counted against the positive."""
    wrong = count = 0
    for scores, positive in users():
        rounded = (scores * 20).round() / 20  # so that ties are common
        ordered = sorted(rounded.tolist())
        expected = [len(ordered) - ordered.index(s) for s in rounded[positive].tolist()]
        got = subject.ranks(rounded, positive).tolist()
        wrong += sum(a != b for a, b in zip(got, expected, strict=True))
        count += len(expected)
    return decide(wrong == 0, f"{wrong} of {count} ranks differ from sorting")


@check
def dcg_formula(subject: Subject, tolerance: float) -> Verdict:
    """Add up 1 / log2(1 + rank) with the standard library."""
    worst = 0.0
    for scores, positive in users():
        rank = subject.ranks(scores, positive)
        loop = math.fsum(1 / math.log2(1 + r) for r in rank.tolist())
        worst = max(worst, abs(float(subject.dcg(rank)) - loop) / loop)
    return decide(worst <= tolerance, f"largest relative difference {worst:.1e}, 50 users")


@check
def bpr_formula(subject: Subject, tolerance: float) -> Verdict:
    """Compare with a loop; the module takes the mean over negatives, the paper the sum."""
    worst = 0.0
    for scores, positive in users(20, 50):
        p, n = scores[positive], scores.expand(int(positive.sum()), -1)
        got = float(subject.bpr(p, n, reduction="sum")) * n.shape[1]
        loop = math.fsum(math.log(1 + math.exp(b - a)) for a in p.tolist() for b in scores.tolist())
        worst = max(worst, abs(got - loop) / abs(loop))
    return decide(worst <= tolerance, f"largest relative difference {worst:.1e}, 20 users")


@check
def psl_formula(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare the module's loss with sigma^(1/tau) in plain floats."""
    sigma: dict[str, Callable[[float], float]] = {
        "tanh": lambda d: math.tanh(d) + 1,
        "atan": lambda d: math.atan(d) + 1,
        "relu": lambda d: max(d + 1, 0.0),
    }
    worst = 0.0
    for scores, positive in users(10, 40):
        p, n = scores[positive], scores.expand(int(positive.sum()), -1)
        for tau in (0.05, 0.25):
            got = float(subject.loss(p, n, tau, activation, reduction="sum"))
            loop = math.fsum(
                math.log(math.fsum(sigma[activation](b - a) ** (1 / tau) for b in scores.tolist()))
                for a in p.tolist()
            )
            worst = max(worst, abs(got - loop) / abs(loop))
    return decide(worst <= tolerance, f"largest relative difference {worst:.1e}, 10 users")


@check
def listwise_is_pairwise(subject: Subject, tolerance: float) -> Verdict:
    """Compare -log softmax of the scores with log-sum over differences, user by user."""
    worst, log, tau = 0.0, subject.log_sigma["exp"], 0.1
    for scores, positive in users():
        listwise = -torch.log_softmax(scores / tau, dim=0)[positive].sum()
        d = pairwise_differences(scores, positive)
        pairwise = torch.logsumexp(log(d) / tau, dim=1).sum()
        worst = max(worst, float((listwise - pairwise).abs() / listwise.abs()))
    return decide(worst <= tolerance, f"largest relative difference {worst:.1e}, 50 users")


@check
def chain_is_ordered(subject: Subject, left: str, right: str, tolerance: float) -> Verdict:
    """Compare two links of the chain: three activations, five temperatures, 53 users.

    Fifty are random; for three a link is an equality, where a mistake has no room.
    """
    low, high = LINKS.index(left), LINKS.index(right)
    worst, taus = -math.inf, torch.tensor(TAUS, dtype=torch.float64)[:, None, None]
    for scores, positive in [*users(), *tight_users()]:
        d = pairwise_differences(scores, positive)
        rank = subject.ranks(scores, positive)
        ends = [
            math.log(len(rank)) - float(subject.dcg(rank).log()),
            math.log(len(rank)) - float(subject.mrr(rank).log()),
            float(rank.double().log().mean()),
        ]
        log_sigma = torch.stack([subject.log_sigma[k](d) for k in ("tanh", "atan", "relu", "exp")])
        *psl, sl = torch.logsumexp(log_sigma[:, None] / taus, dim=3).mean(dim=2).tolist()
        for values in itertools.chain.from_iterable(zip(one, sl, strict=True) for one in psl):
            links = [*ends, *values]
            worst = max(worst, links[low] - links[high])
    return decide(worst <= tolerance, f"{left} minus {right} is at most {worst:.1e}")


@check
def gradient_weights(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Compare autograd with the closed weights sigma' sigma^(1/tau - 1) / tau, normalised."""
    tau = 0.1
    slope: dict[str, Callable[[Tensor], Tensor]] = {
        "exp": lambda d: torch.ones_like(d),
        "tanh": lambda d: (1 - torch.tanh(d) ** 2) / (1 + torch.tanh(d)),
        "atan": lambda d: 1 / ((1 + d**2) * (1 + torch.atan(d))),
        "relu": lambda d: 1 / (1 + d),
    }
    g = torch.Generator().manual_seed(3)
    d = (1.98 * torch.rand(200, 100, generator=g, dtype=torch.float64) - 0.99).requires_grad_()
    value = torch.logsumexp(subject.log_sigma[activation](d) / tau, 1).sum()
    (autograd,) = torch.autograd.grad(value, d)
    log = {
        "exp": d,
        "tanh": torch.log(1 + torch.tanh(d)),
        "atan": torch.log(1 + torch.atan(d)),
        "relu": torch.log(1 + d),
    }[activation]
    formula = (torch.softmax(log / tau, 1) * slope[activation](d) / tau).detach()
    error = float(((autograd - formula).abs() / formula.abs().amax(1, keepdim=True)).max())
    return decide(error <= tolerance, f"largest relative difference {error:.1e}, 20,000 weights")


@check
def jensen_over_positives(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Mean over positives of the loss against the logarithm of the mean: (A.18), normalised."""
    worst, tau = -math.inf, 0.1
    for scores, positive in [*users(), *tight_users()]:
        d = pairwise_differences(scores, positive)
        p, n = scores[positive], scores.expand(len(d), -1)
        mean = float(subject.loss(p, n, tau, activation))
        log = subject.log_sigma[activation](d) / tau
        joint = float(torch.logsumexp(log.flatten(), 0)) - math.log(len(d))
        worst = max(worst, mean - joint)
    return decide(worst <= tolerance, f"left minus right is at most {worst:.1e}, 53 users")


@check
def sampling_lowers_the_loss(subject: Subject, activation: str, tolerance: float) -> Verdict:
    """Take the exact expectation over all draws of 3 from 6 items, with the log(I/N) correction."""
    worst, tau = -math.inf, 0.1
    draws = torch.tensor(list(itertools.product(range(6), repeat=3)))
    for scores, _ in [*users(20, 6), *tight_users(6)]:
        p = scores[:1]
        full = float(subject.loss(p, scores[None], tau, activation))
        n = scores[draws]
        drawn = subject.loss(p.expand(len(n)), n, tau, activation, correction="mean")
        worst = max(worst, float(drawn) + math.log(6) - full)
    return decide(worst <= tolerance, f"expectation minus full value is at most {worst:.1e} nats")


@check
def metrics_formula(subject: Subject, tolerance: float) -> Verdict:
    """Compare Recall@20 and NDCG@20 of random hit lists with loops."""
    g = torch.Generator().manual_seed(17)
    hits = torch.rand(200, 20, generator=g) < 0.2
    relevant = hits.sum(1) + torch.randint(0, 30, (200,), generator=g)
    got, worst = subject.metrics(hits, relevant, (20,)), 0.0
    for row, (hit, total) in enumerate(zip(hits.tolist(), relevant.tolist(), strict=True)):
        ideal = math.fsum(1 / math.log2(1 + r) for r in range(1, min(20, total) + 1))
        gain = math.fsum(1 / math.log2(1 + r) for r, h in enumerate(hit, start=1) if h)
        values = {"recall@20": sum(hit) / max(total, 1), "ndcg@20": gain / (ideal or 1)}
        worst = max(worst, *(abs(float(got[k][row]) - v) for k, v in values.items()))
    return decide(worst <= tolerance, f"largest difference {worst:.1e}, 200 users")

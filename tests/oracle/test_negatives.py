"""Samplers: never a positive, each other item at its probability, false negatives at their rate."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare, kstest
from torch.utils.data import DataLoader, Dataset

from psl.errors import DataError
from psl.interactions import Interactions
from psl.kernels.dispatch import cpu_kernels
from psl.losses import softmax_loss
from psl.negatives import NoisyNegatives, PopularityNegatives, Sampler, UniformNegatives
from psl.streams import stream_key, uniforms

needs_kernels = pytest.mark.skipif(cpu_kernels(torch.zeros(1)) is None, reason="numba is missing")
PATHS = ["off", pytest.param("on", marks=needs_kernels)]


SAMPLERS: dict[str, Callable[[Interactions], Sampler]] = {
    "uniform": UniformNegatives,
    "popular": PopularityNegatives,
    "alike": lambda train: PopularityNegatives(train, 0.0),
    "steep": lambda train: PopularityNegatives(train, 3.0),
    "noisy": lambda train: NoisyNegatives(train, 0.5, np.random.default_rng(0), share=0.4),
    "false": lambda train: NoisyNegatives(train, 1.0, np.random.default_rng(0), share=0.4),
}


def data(items: int = 20) -> Interactions:
    rng = np.random.default_rng(0)
    # User 3 likes all but the last two items.
    users = np.concatenate([rng.integers(0, 3, 30), np.full(items - 2, 3)])
    liked = np.concatenate([rng.integers(0, items, 30), np.arange(items - 2)])
    return Interactions.from_pairs(users, liked, 5, items)


def draw(key: int, count: int, users: list[int], of: Interactions | None = None) -> torch.Tensor:
    return UniformNegatives(of or data()).sample(torch.tensor(users), count, key)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("items", [20, 200])  # 198 positives: beyond what is counted one by one
def test_never_a_positive_and_uniform(
    path: str, items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", path)
    users = [0, 1, 2, 3, 4] * 40
    drawn = draw(1, 100, users, data(items))
    assert drawn.shape == (200, 100) and drawn.dtype == torch.int64
    for user in range(5):
        mine = drawn[[k for k, u in enumerate(users) if u == user]].flatten()
        counts = np.bincount(mine.numpy(), minlength=items)
        positive = np.isin(np.arange(items), data(items).of(user))
        assert counts[positive].sum() == 0
        assert chisquare(counts[~positive]).pvalue > 1e-3


@needs_kernels
@pytest.mark.parametrize("items", [20, 200])
@pytest.mark.parametrize("count", [3, 257])  # few: every positive asked, or bisected; many: listed
def test_both_paths_draw_the_same(items: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    users = torch.randint(5, (64,), generator=torch.Generator().manual_seed(0)).tolist()
    results = []
    for path in ("on", "off"):
        monkeypatch.setenv("PSL_KERNELS", path)
        results.append(draw(stream_key(7, "negatives", 3, 2), count, users, data(items)))
    assert torch.equal(*results)


def test_two_places_of_a_row_are_independent() -> None:
    drawn = draw(2, 2, [3] * 4000)
    joint = np.bincount(((drawn[:, 0] - 18) * 2 + drawn[:, 1] - 18).numpy(), minlength=4)
    assert chisquare(joint).pvalue > 1e-3


def test_the_key_decides() -> None:
    assert torch.equal(draw(3, 50, [0, 1]), draw(3, 50, [0, 1]))
    assert not torch.equal(draw(3, 50, [0, 1]), draw(4, 50, [0, 1]))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", SAMPLERS)
def test_what_cannot_be_drawn_is_refused_on_both_paths(
    path: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read: a kernel sees addresses, and -1 is not the last user."""
    monkeypatch.setenv("PSL_KERNELS", path)
    sampler = SAMPLERS[kind](data())
    for wrong in (-1, 5, 1 << 40):
        with pytest.raises(IndexError, match=r"a user id is not in 0 \.\. 4"):
            sampler.sample(torch.tensor([0, wrong, 1]), 3, 1)
    for users in (torch.zeros(2, dtype=torch.int32), torch.zeros(2, 1, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"users must be int64 \(B,\), got torch.int"):
            sampler.sample(users, 3, 1)
    for key in (-1, 1 << 63):
        with pytest.raises(ValueError, match=rf"key must be in 0 .. 2\^63 - 1, got {key}"):
            sampler.sample(torch.tensor([0]), 3, key)
    assert sampler.sample(torch.tensor([], dtype=torch.int64), 3, 1).shape == (0, 3)
    assert sampler.sample(torch.tensor([4]), 3, (1 << 63) - 1).shape == (1, 3)


class Draws(Dataset):
    """Negatives as a worker of a data loader draws them; of two samplers, one after the other."""

    def __init__(self) -> None:
        train = data(200)
        self.samplers = (
            UniformNegatives(train),
            NoisyNegatives(train, 0.5, np.random.default_rng(0)),
        )

    def __len__(self) -> int:
        return 4

    def __getitem__(self, key: int) -> torch.Tensor:
        users = torch.arange(5)
        return torch.stack([s.sample(users, 50, key) for s in self.samplers])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("path", PATHS)
def test_a_forked_worker_draws_the_same(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where kernels ran in threads of OpenMP, numba ends a child that runs one more."""
    monkeypatch.setenv("PSL_KERNELS", path)
    draws = Draws()
    here = [draws[key] for key in range(4)]
    loader = DataLoader(
        draws, batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=120
    )
    assert all(torch.equal(a, b) for a, b in zip(here, loader, strict=True))
    assert (cpu_kernels(torch.zeros(1)) is not None) == (path == "on"), "the parent keeps them"


def test_a_user_of_everything() -> None:
    full = Interactions.from_pairs(np.zeros(4, dtype=int), np.arange(4), 2, 4)
    with pytest.raises(DataError, match="no negative"):
        UniformNegatives(full)


def test_uniforms_are_splitmix64() -> None:
    """First outputs for the seed 1234567, as its reference implementation prints them."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    # The generator steps before it mixes, so its first output is our number 1.
    got = uniforms(1234567, (4,))[1:]
    assert got.tolist() == [(x >> 11) / 2**53 for x in expected]


def test_number_n_is_the_first_of_the_nth_state() -> None:
    key = stream_key(0, "a")
    for n, number in enumerate(uniforms(key, (50,)).tolist()):
        state = (key + n * 0x9E3779B97F4A7C15) % 2**64
        signed = state - 2**64 if state >= 2**63 else state
        assert uniforms(signed, (1,)).item() == number


def test_uniforms_are_uniform_and_keys_differ() -> None:
    many = uniforms(stream_key(0, "a"), (200, 500))
    assert float(many.min()) >= 0 and float(many.max()) < 1
    assert kstest(many.flatten().numpy(), "uniform").pvalue > 1e-3
    other = uniforms(stream_key(0, "b"), (200, 500))
    assert abs(float(torch.corrcoef(torch.stack([many.flatten(), other.flatten()]))[0, 1])) < 0.02


@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.5, 1.0])
def test_false_negatives_come_at_their_rate(ratio: float) -> None:
    rng = np.random.default_rng(5)
    train = Interactions.from_pairs(rng.integers(0, 50, 800), rng.integers(0, 400, 800), 50, 400)
    sampler = NoisyNegatives(train, ratio, np.random.default_rng(1))
    assert len(sampler.marked) == round(0.1 * len(train))
    assert all(np.isin(sampler.marked.of(u), train.of(u)).all() for u in range(50))
    users = torch.arange(50)
    drawn = sampler.sample(users, 400, 11)
    false = sampler.marked.mask(users).gather(1, drawn)
    positive = train.mask(users).gather(1, drawn)
    # Nothing but a marked item is ever a positive, and who has none keeps the uniform draw.
    assert torch.equal(false, positive)
    has = torch.from_numpy(sampler.marked.degrees > 0)
    assert not false[~has].any() and torch.equal(
        drawn[~has], draw(11, 400, users.tolist(), train)[~has]
    )
    hits, slots = int(false[has].sum()), int(has.sum()) * 400
    if ratio in (0.0, 1.0):
        assert hits == ratio * slots
    else:
        assert binomtest(hits, slots, ratio).pvalue > 1e-3
    # Each marked item of a user is as likely as the next.
    user = int(sampler.marked.degrees.argmax())
    counts = np.array([int((drawn[user] == i).sum()) for i in sampler.marked.of(user)])
    if ratio > 0:
        assert chisquare(counts).pvalue > 1e-4


def test_each_user_has_a_marked_pair_where_they_are_marked_by_user() -> None:
    rng = np.random.default_rng(5)
    train = Interactions.from_pairs(rng.integers(0, 50, 800), rng.integers(0, 400, 800), 50, 400)
    marked = NoisyNegatives(train, 0.5, np.random.default_rng(1), per_user=True).marked
    assert (marked.degrees == np.maximum(train.degrees // 10, 1)).all()
    assert all(np.isin(marked.of(u), train.of(u)).all() for u in range(50))
    everywhere = NoisyNegatives(train, 0.5, np.random.default_rng(1)).marked
    assert (everywhere.degrees == 0).any(), "which is what tells the two apart"


def test_a_noise_ratio_is_a_probability() -> None:
    with pytest.raises(DataError, match="probability"):
        NoisyNegatives(data(), 1.5, np.random.default_rng(0))
    for share in (-1.0, 0.0, 1.0, 5.0):
        with pytest.raises(DataError, match="share of the pairs"):
            NoisyNegatives(data(), 0.5, np.random.default_rng(0), share=share)


def everything(train: Interactions) -> tuple[torch.Tensor, torch.Tensor]:
    """Every user with every item."""
    users = torch.arange(train.num_users)
    return users, torch.arange(train.num_items).expand(train.num_users, -1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_probability_is_that_of_the_draws(
    path: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", path)
    train, count = data(), 20_000
    sampler = SAMPLERS[kind](train)
    users, items = everything(train)
    expected = sampler.log_probability(users, items).exp().double()
    assert expected.sum(1).allclose(torch.ones(5, dtype=torch.float64), atol=1e-6)
    drawn = sampler.sample(users, count, 3)
    for user in range(5):
        counts = np.bincount(drawn[user].numpy(), minlength=20)
        can = expected[user].numpy() > 0
        assert counts[~can].sum() == 0
        share = expected[user].numpy()[can]
        assert chisquare(counts[can], count * share / share.sum()).pvalue > 1e-4


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0, 3.0])
def test_popular_items_are_drawn_in_proportion(power: float) -> None:
    """Against the definition, item by item; the last items have no interaction at all."""
    rng = np.random.default_rng(2)
    train = Interactions.from_pairs(rng.integers(0, 9, 60), rng.integers(0, 30, 60), 9, 40)
    users, items = everything(train)
    got = PopularityNegatives(train, power).log_probability(users, items).exp()
    for user in range(9):
        weight = [0.0 if i in train.of(user) else 1.0 for i in range(40)]
        for i in range(40):
            weight[i] *= (1 + sum(int(i in train.of(u)) for u in range(9))) ** power
        np.testing.assert_allclose(got[user], np.array(weight) / sum(weight), rtol=1e-5)


@pytest.mark.parametrize("kind", ["uniform", "popular", "steep"])
def test_corrected_draws_estimate_the_sum_over_all_items(kind: str) -> None:
    """What ``log_weight`` does with the probabilities: exp of the loss is a mean over the draws."""
    train, count = data(), 40_000
    sampler = SAMPLERS[kind](train)
    users = torch.arange(5)
    scores = torch.randn(5, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positive = torch.zeros(5, dtype=torch.float64)
    left = torch.zeros(5, 20).masked_fill(train.mask(users), -math.inf)
    whole = softmax_loss(positive, scores, tau=1.0, log_weight=left, reduction="none")
    drawn = sampler.sample(users, count, 5)
    correction = -sampler.log_probability(users, drawn) - math.log(count)
    some = scores.gather(1, drawn)
    got = softmax_loss(positive, some, tau=1.0, log_weight=correction, reduction="none")
    np.testing.assert_allclose(got, whole, atol=0.06)


def test_a_draw_at_either_end_of_a_mass_is_no_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest and the largest number that is drawn, for a large table of many users."""
    rng = np.random.default_rng(0)
    who, what = rng.integers(0, 300, 9000), rng.zipf(1.3, 9000) % 500
    train = Interactions.from_pairs(who, what, 300, 500)
    sampler = PopularityNegatives(train, 1.0)
    users = torch.arange(300)
    free = [np.setdiff1d(np.arange(500), train.of(user)) for user in range(300)]
    for number, end in ((0.0, 0), (1 - 2.0**-53, -1)):
        monkeypatch.setattr(
            "psl.negatives.uniforms",
            lambda key, shape, device, n=number: torch.full(shape, n, dtype=torch.float64),
        )
        drawn = sampler.sample(users, 1, 1)[:, 0].tolist()
        assert drawn == [items[end] for items in free]


def test_a_power_is_a_number_from_zero_on() -> None:
    for power in (-0.1, math.nan, math.inf):
        with pytest.raises(DataError, match="power of the popularity"):
            PopularityNegatives(data(), power)


def test_popularity_without_a_pair_is_uniform() -> None:
    train = Interactions(np.zeros(6, dtype=np.int64), np.zeros(0, dtype=np.int64), 20)
    users, items = everything(train)
    for sampler in (PopularityNegatives(train), UniformNegatives(train)):
        log = sampler.log_probability(users, items)
        assert log.allclose(torch.full((5, 20), -math.log(20)))

"""Half precision and autocast: what the operators return, and in which digits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from psl.losses import SLatKLoss, TrainingSetup, get_loss
from psl.models.contrast import _masked
from psl.ops import catalogue_loss, half_cosine, sampled_loss, sampled_scores
from psl.ops.precision import full_precision
from scoring_problems import GATHER, KERNELS, PRODUCT, problem

HALF = [torch.bfloat16, torch.float16]


def results(users: Tensor, items: Tensor, positive: Tensor, negative: Tensor) -> list[Tensor]:
    """Every path into the operators, with its gradients."""
    out, loss = [], get_loss("psl-relu").build(0.05)
    u, v = users.detach().clone().requires_grad_(), items.detach().clone().requires_grad_()
    for value in (
        sampled_loss(u, v, positive, negative, loss),
        sampled_loss(u, v, positive, negative, get_loss("bpr").build(0.1)),
        catalogue_loss(u, v, positive, loss),
        sampled_scores(u, v, negative),
        *half_cosine(u, v),
    ):
        weight = torch.linspace(1, 2, value.numel(), dtype=value.dtype).view(value.shape)
        gradients = torch.autograd.grad((value * weight).sum(), (u, v), allow_unused=True)
        out += [value, *(g for g in gradients if g is not None)]
    return out


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_changes_nothing(
    size: tuple[int, int], dtype: torch.dtype, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temperature divides the scores: three digits do not do, and no path loses any."""
    monkeypatch.setenv("PSL_KERNELS", kernels)
    inputs = problem(*size, dtype=dtype)
    plain = results(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
        cast = results(*inputs)
    for one, two in zip(plain, cast, strict=True):
        assert one.dtype == two.dtype == dtype and torch.equal(one, two)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("size", [PRODUCT, GATHER])
@pytest.mark.parametrize("dtype", HALF)
def test_embeddings_in_half_precision_lose_their_own_digits_alone(
    size: tuple[int, int], dtype: torch.dtype, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", kernels)
    users, items, *ids = problem(*size, dtype=dtype)
    half, full = results(users, items, *ids), results(users.float(), items.float(), *ids)
    for one, two in zip(half, full, strict=True):
        gradient = one.shape in (users.shape, items.shape) and one.grad_fn is None
        assert one.dtype == (dtype if gradient else torch.float32)
        assert torch.equal(one, two.to(one.dtype))


def test_tables_of_two_dtypes_meet_in_the_wider() -> None:
    users, items, positive, negative = problem(*PRODUCT)
    loss = get_loss("sl").build(0.1)
    expected = sampled_loss(users.float(), items.bfloat16().float(), positive, negative, loss)
    mixed = sampled_loss(users.float(), items.bfloat16(), positive, negative, loss)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, expected)
    assert sampled_scores(users, items.float(), negative).dtype == torch.float64


RENAMED = hasattr(torch.backends.cuda.matmul, "fp32_precision")  # since torch 2.9


def switches() -> list[str]:
    if not RENAMED:
        return [torch.get_float32_matmul_precision()]
    on = torch.backends
    return [x.fp32_precision for x in (on, on.cuda.matmul, on.mkldnn.matmul)]


@pytest.fixture
def restored() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    if RENAMED:
        for place in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends):
            place.fp32_precision = "none"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_operator_heeds_the_switch_for_fewer_digits(device: str, asked: str) -> None:
    """The switch is for the whole process: it is as before afterwards, an error between or not."""
    torch.set_float32_matmul_precision(asked)
    before, seen = switches(), []

    @full_precision
    def operator(x: Any) -> None:
        seen.append(switches()[{"cpu": -1, "cuda": len(before) // 2}[device]])
        raise KeyError

    with pytest.raises(KeyError):
        operator(SimpleNamespace(device=torch.device(device)))
    assert seen[0] in ("ieee", "none", "highest")
    assert switches() == before and torch.get_float32_matmul_precision() == asked


class Calls(TorchDispatchMode):
    """Note what torch is asked for; inside an operator of its own nothing is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("restored")
def test_the_contrast_of_a_gpu_heeds_no_switch_on_its_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forth it is an operator; back there is no product left to take in the process's digits."""
    torch.set_float32_matmul_precision("medium")
    u, v = (torch.randn(8, 4).requires_grad_() for _ in "uv")
    softmax, within = torch.softmax, []

    def spy(*args: Any, **kwargs: Any) -> Tensor:
        within.append(switches()[-1])
        return softmax(*args, **kwargs)

    monkeypatch.setattr(torch, "softmax", spy)
    with Calls() as calls:
        _masked(u, v, 0.1, torch.arange(8) == 3)[0].backward()
    assert "psl.masked_contrast" in calls.names
    assert not [name for name in calls.names if name.endswith("mm")]
    assert len(within) == 1 and within[0] in ("ieee", "none", "highest")


@pytest.mark.skipif(not RENAMED, reason="torch has one switch only")
@pytest.mark.usefixtures("restored")
def test_a_switch_that_follows_another_goes_on_following_it() -> None:
    torch.backends.fp32_precision = "tf32"
    operator = full_precision(lambda x: torch.backends.cuda.matmul.fp32_precision)
    assert operator(SimpleNamespace(device=torch.device("cuda"))) == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    torch.backends.fp32_precision = "none"
    assert torch.backends.cuda.matmul.fp32_precision in ("none", "ieee")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("first_out", [0, 1])
def test_a_thread_that_leaves_does_not_turn_the_switch_of_another(
    device: str, first_out: int
) -> None:
    """As autograd's thread and the program's: who is inside still multiplies in float32."""
    torch.set_float32_matmul_precision("medium")
    before, seen = switches(), []
    inside, leave = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    @full_precision
    def operator(x: Any) -> None:
        inside[x.number].set()
        assert leave[x.number].wait(60)
        seen.append(switches()[{"cpu": -1, "cuda": len(before) // 2}[device]])

    threads = []
    for number in (0, 1):
        x = SimpleNamespace(device=torch.device(device), number=number)
        threads.append(threading.Thread(target=operator, args=(x,)))
        threads[-1].start()
        assert inside[number].wait(60)
    for number in (first_out, 1 - first_out):
        leave[number].set()
        threads[number].join()
    assert len(seen) == 2 and set(seen) <= {"ieee", "none", "highest"}
    assert switches() == before


@pytest.mark.usefixtures("restored")
def test_the_way_back_of_one_thread_and_the_way_forth_of_another_share_the_switch() -> None:
    """Both at once and many times, the switch ends as it began."""
    torch.set_float32_matmul_precision("medium")
    before = switches()

    def work() -> None:
        for _ in range(50):
            u, v, positive, negative = problem(*PRODUCT, dtype=torch.float32)
            u.requires_grad_()
            sampled_loss(u, v, positive, negative, get_loss("bpr").build(0.1)).backward()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert switches() == before


@pytest.mark.usefixtures("restored")
def test_the_quantiles_of_sl_at_k_are_taken_in_all_digits() -> None:
    torch.set_float32_matmul_precision("medium")
    loss, seen = SLatKLoss(refresh=1), []
    loss.setup(TrainingSetup(4, 30, 0.1, 0.0, torch.Generator()))

    class Spy(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.overloadpacket is torch.ops.aten.mm:
                seen.append(switches()[-1])
            return func(*args, **(kwargs or {}))

    with Spy():
        loss.on_epoch_start(2, lambda: lambda users: (torch.ones(len(users), 2), torch.ones(30, 2)))
    assert seen and set(seen) <= {"ieee", "none", "highest"}
    assert torch.equal(loss.quantile, torch.full((4,), 2.0))

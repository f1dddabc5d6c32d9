"""The custom operators: what torch asks of one, and that compiled code gives the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._library.custom_ops import OPDEFS
from torch.library import opcheck

from companion.released import ReleasedBSLLoss
from psl.dro import saturation_radius, temperature_for_radius
from psl.interactions import Interactions
from psl.losses import PairwiseSoftmaxLoss, get_loss
from psl.losses.robust import robust_bpr_loss
from psl.models.contrast import _masked, orthant_noise
from psl.models.graph import Graph
from psl.negatives import UniformNegatives
from psl.ops import catalogue_loss, sampled_loss, sampled_scores, unit_rows
from psl.ops.lookup import _lookup
from psl.streams import stream_key

DTYPES = [torch.float32, torch.float64]  # with kernels, where numba is there, and without


def tables(dtype: torch.dtype, columns: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make a small batch; with ``columns``, tables that lie in memory column after column."""
    g = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 8, generator=g).to(dtype) for n in (5, 19))
    if columns:
        users, items = (x.T.contiguous().T for x in (users, items))
    ids = (torch.randint(19, shape, generator=g) for shape in ((5,), (5, 7)))
    return users.requires_grad_(), items.requires_grad_(), *ids


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_operators_are_what_torch_expects(dtype: torch.dtype, columns: bool) -> None:
    """Also where a table was transposed: what is promised to a compiler has the strides given."""
    ops, (users, items, positive, negative) = torch.ops.psl, tables(dtype, columns)
    opcheck(ops.sampled_scores.default, (users, items, negative, 2, "auto"))
    plain = (users.detach(), items.detach(), negative, torch.ones(5, 7, dtype=dtype))
    opcheck(ops.sampled_scores_backward.default, (*plain, 2, "auto"))
    for drawn in (negative, None):
        batch = users, items, positive, drawn
        opcheck(ops.pairwise_softmax.default, (*batch, 0.1, "relu", 2, True, "auto"))
    opcheck(ops.unit_rows.default, (users,))
    unit = (users.detach(), items.detach()[:5], users.detach()[:, 0])
    opcheck(ops.unit_rows_backward.default, unit)
    other = unit[1].clone().requires_grad_()
    opcheck(ops.masked_contrast.default, (users, other, 0.1, positive == positive[0]))
    below = items.detach() - items.detach().amax(dim=1, keepdim=True)
    eta = torch.full((19,), 0.3, dtype=dtype)
    opcheck(ops.log_temperature.default, (below, eta, eta >= saturation_radius(below)))


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled_code_gives_the_same(dtype: torch.dtype, columns: bool) -> None:
    users, items, positive, negative = tables(dtype, columns)
    loss = PairwiseSoftmaxLoss(0.1, "atan")

    def step(u: Tensor, v: Tensor) -> Tensor:
        value = sampled_loss(unit_rows(u) / 2, unit_rows(v), positive, negative, loss)
        return 3 * value + sampled_scores(u, v, negative).square().mean()

    results = []
    for function in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        value = function(users, items)
        results.append((value, *torch.autograd.grad(value, (users, items))))
    for eager, compiled in zip(*results, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-6)


@pytest.mark.parametrize("activation", ["exp", "tanh", "atan", "relu", "softplus"])
def test_the_fused_loss_passes_gradcheck(activation: str) -> None:
    users, items, positive, negative = tables(torch.float64)
    loss = PairwiseSoftmaxLoss(0.3, activation)

    def sampled(u: Tensor, v: Tensor) -> Tensor:
        return sampled_loss(unit_rows(u) / 2, unit_rows(v), positive, negative, loss, rows=2)

    def whole(u: Tensor, v: Tensor) -> Tensor:
        return catalogue_loss(unit_rows(u) / 2, unit_rows(v), positive, loss, rows=2)

    assert torch.autograd.gradcheck(sampled, (users, items))
    assert torch.autograd.gradcheck(whole, (users, items))


def test_only_softmax_losses_have_a_form_over_the_catalogue() -> None:
    users, items, positive, _ = tables(torch.float32)
    with pytest.raises(ValueError, match="SL and PSL have"):
        catalogue_loss(users, items, positive, PairwiseSoftmaxLoss(0.1, form="inside"))


@pytest.mark.parametrize("form", ["outside", "inside"])
def test_no_sample_is_not_taken_for_the_catalogue(form: str) -> None:
    users, items, positive, negative = tables(torch.float32)
    with pytest.raises(ValueError, match="N = 0"):
        sampled_loss(users, items, positive, negative[:, :0], PairwiseSoftmaxLoss(0.1, form=form))


def test_the_gradient_may_be_asked_for_twice_and_scaled() -> None:
    """What is kept for the backward pass is not changed by it."""
    users, items, positive, negative = tables(torch.float32)
    value = sampled_loss(users, items, positive, negative, PairwiseSoftmaxLoss(0.5, "exp"))
    first = torch.autograd.grad(value, (users, items), retain_graph=True)
    scaled = torch.autograd.grad(value, (users, items), torch.tensor(-2.0), retain_graph=True)
    again = torch.autograd.grad(value, (users, items))
    for a, b, c in zip(first, scaled, again, strict=True):
        assert torch.equal(a, c) and torch.allclose(b, -2 * a)


KEYS = (0, 5, stream_key(7, "negatives", 3, 2), (1 << 63) - 1)


def test_compiled_code_draws_the_same_negatives() -> None:
    """torch.compile cannot follow a kernel; the path in torch it can, whatever the key."""
    train = Interactions.from_pairs(np.arange(9), np.arange(9), 9, 30)
    sampler, users = UniformNegatives(train), torch.arange(9)

    def draw(key: int) -> Tensor:
        return sampler.sample(users, 20, key)

    compiled = torch.compile(draw, backend="aot_eager", fullgraph=True)
    assert all(torch.equal(compiled(key), draw(key)) for key in KEYS)


def test_compiled_code_adds_the_same_noise() -> None:
    x = torch.randn(7, 24, generator=torch.Generator().manual_seed(0))

    def noisy(key: int) -> Tensor:
        return x + orthant_noise(x, key, 0.1)

    compiled = torch.compile(noisy, backend="aot_eager", fullgraph=True)
    assert all(torch.allclose(compiled(key), noisy(key), rtol=1e-6) for key in KEYS)


# Of every operator and every function of autograd that is the package's own, by its name.
PATHS: dict[str, Callable[..., Tensor]] = {
    "fused": lambda u, v, p, n: sampled_loss(u, v, p, n, PairwiseSoftmaxLoss(0.3)),
    "catalogue": lambda u, v, p, _: catalogue_loss(u, v, p, PairwiseSoftmaxLoss(0.3)),
    "factor": lambda *a: sampled_loss(*a, ReleasedBSLLoss(0.3, 0.2)),
    "scores": lambda *a: sampled_loss(*a, get_loss("bpr").build(0.3)),
    "psl::pairwise_softmax": lambda *a: sampled_loss(*a, PairwiseSoftmaxLoss(0.3, "exp")),
    "psl::sampled_scores": lambda u, v, _, n: sampled_scores(u, v, n).square().sum(),
    "psl::masked_contrast": lambda u, v, p, _: _masked(u, v[:5], 0.3, p == p[0])[0],
    "psl::unit_rows": lambda u, v, *_: (unit_rows(u).sum() + unit_rows(v).sum()).exp(),
    "psl::lookup": lambda u, v, p, _: _lookup(p % 5, u).square().sum() + v.square().sum(),
    "_Once": lambda u, v, *_: robust_bpr_loss(u[:, 0] * v[:5, 0], u @ v.T),
}
# What is linear may be derived again; the last stands for its own refusal.
LINEAR = {"_Multiply", "_End"}


def test_every_operator_is_asked_for_a_second_derivative() -> None:
    """One that is added later, too."""
    named = {name for name, op in OPDEFS.items() if name.startswith("psl::") and op._backward_fn}
    functions = {
        cls.__name__
        for cls in torch.autograd.Function.__subclasses__()
        if cls.__module__.startswith("psl.")
    }
    assert named | functions - LINEAR <= set(PATHS)


def test_the_product_with_a_graph_may_be_derived_twice() -> None:
    train = Interactions.from_pairs(np.arange(6) % 3, np.arange(6) % 4, 3, 4)
    graph, g = Graph(train).to("cpu", torch.float64), torch.Generator().manual_seed(0)
    tables = [torch.randn(n, 2, generator=g, dtype=torch.float64).requires_grad_() for n in (3, 4)]
    assert torch.autograd.gradgradcheck(lambda u, v: graph.propagate(u.sin(), v.sin()), tables)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", PATHS)
def test_a_second_derivative_is_refused_and_not_zero(path: str, dtype: torch.dtype) -> None:
    """A penalty on the gradient would be a constant, and drop out of the training unseen."""
    users, items, positive, negative = tables(dtype)
    value = PATHS[path](users, items, positive, negative)
    plain = torch.autograd.grad(value, (users, items), retain_graph=True)
    first = torch.autograd.grad(value, (users, items), create_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, first, strict=True))
    with pytest.raises(RuntimeError, match=r"first derivative only|no autograd formula"):
        (value + sum(g.square().sum() for g in first)).backward()


@pytest.mark.parametrize("path", PATHS)
def test_a_second_derivative_is_refused_by_name_too(path: str) -> None:
    """Asked for in what lies before the operator: torch goes only where it leads there."""
    x, v, positive, negative = tables(torch.float64)
    for before in (lambda t: t * 1, torch.sin):
        value = PATHS[path](before(x), v, positive, negative)
        (first,) = torch.autograd.grad(value, x, create_graph=True)
        with pytest.raises(RuntimeError, match=r"first derivative only|no autograd formula"):
            torch.autograd.grad(first.square().sum(), x, allow_unused=True)


FORWARD: dict[str, Callable[..., Tensor]] = {
    name: PATHS[name] for name in ("fused", "catalogue", "scores", "psl::sampled_scores")
} | {
    "unit_rows": lambda u, *_: unit_rows(u),
    "temperature": lambda u, *_: temperature_for_radius(u.detach() * 0 + u, 0.3),
}


@pytest.mark.parametrize("path", FORWARD)
def test_a_derivative_in_forward_mode_is_refused_and_not_zero(path: str) -> None:
    users, items, *ids = (x.detach() for x in tables(torch.float64))
    with pytest.raises(RuntimeError, match="no derivative in forward mode"):
        torch.func.jvp(lambda u: FORWARD[path](u, items, *ids), (users,), (users,))


@pytest.mark.parametrize("path", ["fused", "catalogue", "scores"])
def test_the_transforms_of_torch_func_are_refused_and_not_wrong(path: str) -> None:
    """Torch has none for an operator that others register; the docstring says what serves."""
    users, items, *ids = (x.detach() for x in tables(torch.float64))
    with pytest.raises(RuntimeError):
        torch.func.grad(lambda u: PATHS[path](u, items, *ids))(users)
    assert "torch.func.grad" in (sampled_loss.__doc__ or "")


def test_embeddings_and_ids_on_two_devices_are_refused() -> None:
    """With ids on meta the value was what lay in memory."""
    users, items, positive, negative = tables(torch.float64)
    loss = PairwiseSoftmaxLoss(0.3)
    for call in (
        lambda: sampled_loss(users, items, positive.to("meta"), negative, loss),
        lambda: catalogue_loss(users, items.to("meta"), positive, loss),
        lambda: sampled_scores(users, items, negative.to("meta")),
    ):
        with pytest.raises(ValueError, match="on one device, got cpu, meta"):
            call()

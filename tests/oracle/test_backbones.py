"""Backbones: scores by the formula, LightGCN against another library, XSimGCL by dense algebra."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.released import ReleasedXSimGCL
from process_defaults import other_defaults
from psl.errors import UnknownNameError
from psl.interactions import Interactions
from psl.models.backbones import BACKBONES, get_backbone
from psl.models.contrast import _masked, info_nce, orthant_noise
from psl.models.graph import Graph
from psl.models.graph_models import LightGCN, LightGCNPlusPlus, SimGCL, SimpleX, XSimGCL
from psl.models.matrix_factorization import MatrixFactorization
from psl.streams import stream_key, uniforms

USERS, ITEMS, DIM = 30, 40, 8
# Which propagations an embedding is the mean of; others have a formula of their own in ``DENSE``.
LAYERS = {
    "mf": slice(0, 1),
    "lightgcn": slice(0, 3),
    "xsimgcl": slice(1, 4),
    "simgcl": slice(1, 4),
}


def data() -> Interactions:
    rng = np.random.default_rng(0)
    # The last user and the last items have no edge.
    return Interactions.from_pairs(
        rng.integers(0, USERS - 1, 200), rng.integers(0, ITEMS - 4, 200), USERS, ITEMS
    )


def options(score: str = "inner") -> dict:
    return {"score": score, "init_std": 0.3, "generator": torch.Generator().manual_seed(0)}


def adjacency() -> Tensor:
    """Return the normalised square matrix over users and items, by the definition."""
    a = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    train = data()
    for u, i in zip(train.users, train.items, strict=True):
        a[u, USERS + i] = a[USERS + i, u] = 1
    root = a.sum(1).clamp(min=1).rsqrt()
    return root[:, None] * a * root[None]


@pytest.mark.parametrize("score", ["cosine", "inner"])
def test_scores_of_the_backbone(score: str) -> None:
    model = MatrixFactorization(
        40, 50, 6, score=score, init_std=0.3, generator=torch.Generator().manual_seed(0)
    )
    users = torch.tensor([3, 3, 7])
    u, v = model.embed(users)
    raw_u, raw_v = model.user[users].detach(), model.item.detach()
    expected = raw_u @ raw_v.T
    if score == "cosine":
        expected = expected / raw_u.norm(dim=1)[:, None] / raw_v.norm(dim=1)[None] / 2
    assert torch.allclose(u @ v.T, expected, atol=1e-6)
    assert float(torch.cat([model.user, model.item]).detach().std()) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("threads", [0, 1, 2, 7])  # 0: without the kernel
def test_one_propagation_is_the_product_with_the_normalised_adjacency(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSL_KERNELS", "on" if threads else "off")
    if threads:
        pytest.importorskip("numba")
        monkeypatch.setattr("psl.kernels.cpu.graph.use_threads", lambda: threads)
    g = torch.Generator().manual_seed(1)
    u = torch.randn(USERS, DIM, generator=g).requires_grad_()
    v = torch.randn(ITEMS, DIM, generator=g).requires_grad_()
    got = torch.cat(Graph(data()).propagate(u, v))
    x = torch.cat([u, v]).detach().double().requires_grad_()
    expected = adjacency() @ x
    assert torch.allclose(got.double(), expected, atol=1e-6)
    weight = torch.randn(got.shape, generator=g)
    (got * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    assert torch.allclose(torch.cat([u.grad, v.grad]).double(), x.grad, atol=1e-6)
    assert not got[USERS - 1].any() and not got[-4:].any(), "no edge, no message"


@pytest.mark.parametrize("path", ["on", "off"])
def test_a_second_derivative_passes_through_the_graph(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a penalty on the gradient asks for it."""
    monkeypatch.setenv("PSL_KERNELS", path)
    graph, a, results = Graph(data()), adjacency(), []
    table = torch.randn(USERS + ITEMS, DIM, generator=torch.Generator().manual_seed(1))
    for dtype in (torch.float32, torch.float64):
        x = table.to(dtype).requires_grad_()
        exact = dtype == torch.float64
        y = a @ x if exact else torch.cat(graph.propagate(*x.split([USERS, ITEMS])))
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        results.append((first, *torch.autograd.grad(first.square().sum(), x)))
    for one, two in zip(*results, strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-5, atol=1e-5)


def test_propagation_passes_gradgradcheck() -> None:
    graph, g = Graph(data()).to("cpu", torch.float64), torch.Generator().manual_seed(1)
    tables = [
        torch.randn(rows, 2, dtype=torch.float64, generator=g).requires_grad_()
        for rows in (USERS, ITEMS)
    ]
    assert torch.autograd.gradcheck(graph.propagate, tables, fast_mode=True)
    assert torch.autograd.gradgradcheck(graph.propagate, tables, fast_mode=True)


@pytest.mark.parametrize("path", ["on", "off"])
def test_the_graph_stays_on_its_device_and_in_its_dtype(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the process makes its tensors of by default."""
    monkeypatch.setenv("PSL_KERNELS", path)
    x = torch.randn(USERS, DIM), torch.randn(ITEMS, DIM)
    expected = Graph(data()).propagate(*x)
    with other_defaults():
        graph = Graph(data())
        got = graph.propagate(*x)
        wide = graph.to("cpu", torch.float64).propagate(*x)
    for one, two, three in zip(expected, got, wide, strict=True):
        assert two.dtype == torch.float32 and torch.equal(one, two)
        assert torch.allclose(one.double(), three, atol=1e-6)


def test_tables_of_another_size_are_refused() -> None:
    graph = Graph(data())
    for users, items in ((USERS, ITEMS - 1), (USERS + 1, ITEMS)):
        with pytest.raises(ValueError, match=r"expected embeddings \(\d+, d\), got"):
            graph.propagate(torch.zeros(users, DIM), torch.zeros(items, DIM))
    with pytest.raises(ValueError, match="expected embeddings"):
        graph.propagate(torch.zeros(USERS), torch.zeros(ITEMS))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_lightgcn_is_that_of_another_library(layers: int) -> None:
    models = pytest.importorskip("torch_geometric.nn.models")
    mine = LightGCN(data(), DIM, layers=layers, **options())
    theirs = models.LightGCN(USERS + ITEMS, DIM, layers)
    with torch.no_grad():
        theirs.embedding.weight.copy_(torch.cat([mine.user, mine.item]))
    train = data()
    forth = torch.tensor(np.stack([train.users, train.items + USERS]))
    edges = torch.cat([forth, forth.flip(0)], dim=1)
    weight = torch.randn(USERS + ITEMS, DIM, generator=torch.Generator().manual_seed(2))
    theirs_out = theirs.get_embedding(edges)
    mine_out = torch.cat(mine.tables())
    assert torch.allclose(mine_out, theirs_out, atol=1e-6)
    (mine_out * weight).sum().backward()
    (theirs_out * weight).sum().backward()
    grad = torch.cat([mine.user.grad, mine.item.grad])  # type: ignore[list-item]
    assert torch.allclose(grad, theirs.embedding.weight.grad, atol=1e-6)


@pytest.mark.parametrize("score", ["cosine", "inner"])
@pytest.mark.parametrize("name", BACKBONES)
def test_scores_and_the_frozen_pass(name: str, score: str) -> None:
    model = get_backbone(name).build(data(), DIM, **options(score))
    users = torch.tensor([3, 3, 7, USERS - 1])
    raw_u, raw_v = (x.detach().double() for x in model.tables())
    expected = raw_u[users] @ raw_v.T
    if score == "cosine":
        norms = raw_u[users].norm(dim=1)[:, None] * raw_v.norm(dim=1)[None]
        expected = expected / norms.clamp(min=1e-12) / 2
    for embed in (model.embed, model.inference_embeddings()):
        u, v = embed(users)
        assert torch.allclose((u @ v.T).detach().double(), expected, atol=1e-6)
    assert not model.inference_embeddings()(users)[0].requires_grad


@pytest.mark.parametrize("name", BACKBONES)
def test_a_score_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown score 'dot'.*cosine, inner"):
        get_backbone(name).build(data(), DIM, **options("dot"))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_model_moves_to_double_precision_and_back(name: str) -> None:
    model = get_backbone(name).build(data(), DIM, **options())
    single = [x.detach().clone() for x in model.tables()]
    batch = torch.tensor([0, 3]), torch.tensor([1, 2])
    model.double()
    for one, two in zip(single, model.tables(), strict=True):
        assert two.dtype == torch.float64
        assert torch.allclose(one.double(), two, atol=1e-6)
    u, v, own = model(*batch, 0)
    (u.sum() + v.sum() + (0 if own is None else own)).backward()
    assert model.user.grad.dtype == torch.float64
    model.float()
    assert all(torch.equal(a, b) for a, b in zip(single, model.tables(), strict=True))


BATCH = torch.tensor([0, 3, 3]), torch.tensor([1, 2, 1])


def edges() -> Tensor:
    """Return which user has which item, (U, I), of ones and zeros."""
    pairs = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    train = data()
    pairs[train.users, train.items] = 1
    return pairs


def lightgcn_plus_plus(model: LightGCNPlusPlus, alpha: float, beta: float, gamma: float) -> Tensor:
    """Two propagations of unit vectors along the square matrix of users and items."""
    a = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=torch.float64)
    a[:USERS, USERS:], a[USERS:, :USERS] = edges(), edges().T
    degree = a.sum(1).clamp(min=1)
    a = degree[:, None] ** -alpha * a * degree[None] ** -beta
    e = [torch.cat([model.user, model.item])]
    for _ in range(model.layers):
        e.append(a @ (e[-1] / e[-1].square().sum(1, keepdim=True).clamp(min=1e-24).sqrt()))
    return gamma * e[0] + (1 - gamma) * sum(e[1:]) / model.layers


def simplex(model: SimpleX, g: float) -> Tensor:
    """The mean over a user's items, one by one."""
    rows = []
    for u, row in enumerate(edges()):
        rows.append(g * model.user[u])
        if row.any():
            mean = torch.stack([model.item[i] for i in row.nonzero().flatten()]).mean(0)
            rows[-1] = rows[-1] + (1 - g) * (model.mix @ mean)
    return torch.cat([torch.stack(rows), model.item])


DENSE = {
    "lightgcn++": lambda model: lightgcn_plus_plus(model, 0.6, -0.1, 0.2),
    "simplex": lambda model: simplex(model, 0.5),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_double_precision_has_all_its_digits(name: str) -> None:
    """In values and gradients; also the weights of the edges, which were float32 before."""
    model = get_backbone(name).build(data(), DIM, **options()).float().double()
    got = torch.cat(model.tables())
    if name in LAYERS:
        powers = [torch.cat([model.user, model.item])]
        for _ in range(3):
            powers.append(adjacency() @ powers[-1])
        layers = powers[LAYERS[name]]
        expected = sum(layers) / len(layers)
    else:
        expected = DENSE[name](model)
    assert torch.allclose(got, expected, rtol=1e-13, atol=1e-15)
    weight = torch.randn(got.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    own, dense = (
        torch.autograd.grad((x * weight).sum(), [*model.parameters()], allow_unused=True)
        for x in (got, expected)
    )
    for one, two in zip(own, dense, strict=True):
        assert torch.allclose(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("beta", [-0.1, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_lightgcn_plus_plus_takes_its_settings(alpha: float, beta: float) -> None:
    settings = {"norm_exponent": alpha, "neighbor_exponent": beta, "own_weight": 0.7, "layers": 3}
    model = LightGCNPlusPlus(data(), DIM, **settings, **options()).double()
    expected = lightgcn_plus_plus(model, alpha, beta, 0.7)
    assert torch.allclose(torch.cat(model.tables()), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("g", [0.0, 0.3, 1.0])
def test_simplex_takes_its_weight(g: float) -> None:
    model = SimpleX(data(), DIM, own_weight=g, **options()).double()
    assert torch.allclose(torch.cat(model.tables()), simplex(model, g), rtol=1e-13, atol=1e-15)
    free = MatrixFactorization(USERS, ITEMS, DIM, **options()).double()
    assert torch.equal(model.user, free.user) and torch.equal(model.item, free.item)


@pytest.mark.parametrize("name", BACKBONES)
def test_other_numbers_for_users_and_items_move_their_rows_alone(name: str) -> None:
    g = torch.Generator().manual_seed(5)
    model = get_backbone(name).build(data(), DIM, **options()).double()
    users, items = torch.randperm(USERS, generator=g), torch.randperm(ITEMS, generator=g)
    train, new = data(), (users.argsort(), items.argsort())  # old number to new one
    pairs = new[0].numpy()[train.users], new[1].numpy()[train.items]
    moved = Interactions.from_pairs(*pairs, USERS, ITEMS)
    twin = get_backbone(name).build(moved, DIM, **options()).double()
    state = model.state_dict()
    twin.load_state_dict({**state, "user": state["user"][users], "item": state["item"][items]})
    for one, two, order in zip(model.tables(), twin.tables(), (users, items), strict=True):
        assert torch.allclose(one[order], two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("score", ["cosine", "inner"])
@pytest.mark.parametrize("name", BACKBONES)
def test_without_noise_training_and_inference_have_the_same_embeddings(
    name: str, score: str
) -> None:
    """Those of the contrast have noise in training: in the scores, or beside them."""
    model = get_backbone(name).build(data(), DIM, **options(score))
    trained, ranked = model(*BATCH, 0)[:2], model.inference_embeddings()(BATCH[0])
    same = all(torch.equal(a, b) for a, b in zip(trained, ranked, strict=True))
    assert same == (name != "xsimgcl")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("how", ["deep copy", "torch.save"])
def test_a_copy_is_the_model_and_goes_its_own_way(name: str, how: str) -> None:
    model = get_backbone(name).build(data(), DIM, **options())
    if how == "deep copy":
        twin = copy.deepcopy(model)
    else:
        torch.save(model, file := io.BytesIO())
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    before = [x.detach().clone() for x in model.tables()]
    assert all(torch.equal(a, b) for a, b in zip(before, twin.tables(), strict=True))
    twin.double()
    with torch.no_grad():
        twin.user.zero_(), twin.item.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, model.tables(), strict=True))
    assert not any(x.any() for x in twin.tables())


@pytest.mark.parametrize("name", BACKBONES)
def test_autocast_changes_nothing(name: str) -> None:
    model = get_backbone(name).build(data(), DIM, **options("cosine"))
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            u, v, own = model(*BATCH, 0)
        value = u.square().sum() + v.sum() + (0 if own is None else own)
        results.append([u, v, value, *torch.autograd.grad(value, (model.user, model.item))])
    for one, two in zip(*results, strict=True):
        assert one.dtype == two.dtype and torch.equal(one, two)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # not advised by torch, and done
        u, v, own = model(*BATCH, 0)
        (u.square().sum() + v.sum() + (0 if own is None else own)).backward()
    assert torch.allclose(model.user.grad, results[0][3], rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_model_in_half_precision_propagates(name: str) -> None:
    model = get_backbone(name).build(data(), DIM, **options()).bfloat16()
    rounded = get_backbone(name).build(data(), DIM, **options()).bfloat16().float()
    for one, two in zip(model.tables(), rounded.tables(), strict=True):
        assert torch.equal(one.float(), two)
    u, v, _ = model(*BATCH, 0)
    (u.sum() + v.sum()).backward()
    assert model.user.grad.dtype == torch.bfloat16


def xsimgcl_dense(model: XSimGCL, users: Tensor, positive: Tensor, released: bool):
    """Return final embeddings and the contrast, with the module's stream of noise."""
    a = adjacency()
    x = torch.cat([model.user, model.item]).detach().double()
    layers = []
    for layer in range(3):
        x = a @ x
        parts = []
        for side, rows in (("users", USERS), ("items", ITEMS)):
            key = stream_key(9, layer, side)
            own = torch.Generator().manual_seed(key)
            gaussian = torch.randn(rows, DIM, generator=own).double()
            parts.append(gaussian if released else uniforms(key, (rows, DIM)))
        noise = torch.cat(parts)
        noise = noise / noise.norm(dim=1, keepdim=True)
        x = x + torch.sign(x) * noise * 0.1
        layers.append(x)
    final, contrast = sum(layers) / 3, 0.0
    for ids in (users.tolist(), (positive + USERS).tolist()):
        ids = ids if released else sorted(set(ids))
        for i in ids:
            cos = [
                float(final[i] @ layers[0][j] / final[i].norm() / layers[0][j].norm()) for j in ids
            ]
            own = float(final[i] @ layers[0][i] / final[i].norm() / layers[0][i].norm())
            total = sum(math.exp(c / 0.1) for c in cos)
            contrast += -math.log(math.exp(own / 0.1) / total) / len(ids)
    return final, 0.2 * contrast


@pytest.mark.parametrize("released", [False, True])
def test_xsimgcl_is_the_dense_formula(released: bool) -> None:
    model = (ReleasedXSimGCL if released else XSimGCL)(data(), DIM, **options())
    users, positive = torch.tensor([0, 4, 4, 9, 12]), torch.tensor([1, 1, 30, 7, 7])
    u, v, own = model(users, positive, 9)
    final, contrast = xsimgcl_dense(model, users, positive, released)
    assert torch.allclose(u.double(), final[users], atol=1e-6)
    assert torch.allclose(v.double(), final[USERS:], atol=1e-6)
    assert own is not None and float(own.detach()) == pytest.approx(contrast, rel=1e-5)
    (u.sum() + v.sum() + own).backward()
    assert torch.isfinite(model.user.grad).all() and torch.isfinite(model.item.grad).all()


def noisy_mean(model: SimGCL, key: int) -> Tensor:
    """Return the mean over three propagations with noise, by dense algebra, in float64."""
    x, layers = torch.cat([model.user, model.item]).detach().double(), []
    for layer in range(3):
        x = adjacency() @ x
        sides = (("users", USERS), ("items", ITEMS))
        noise = torch.cat([uniforms(stream_key(key, layer, s), (n, DIM)) for s, n in sides])
        x = x + torch.sign(x) * noise / noise.norm(dim=1, keepdim=True) * 0.1
        layers.append(x)
    return sum(layers) / 3


def test_simgcl_is_the_dense_formula() -> None:
    """Scores of the passes without noise; each id once in the contrast of two noisy ones."""
    model = SimGCL(data(), DIM, **options())
    users, positive = torch.tensor([0, 4, 4, 9, 12]), torch.tensor([1, 1, 30, 7, 7])
    u, v, own = model(users, positive, 9)
    x, a = torch.cat([model.user, model.item]).detach().double(), adjacency()
    clean = (a @ x + a @ a @ x + a @ a @ a @ x) / 3
    assert torch.allclose(u.double(), clean[users], atol=1e-6)
    assert torch.allclose(v.double(), clean[USERS:], atol=1e-6)
    one, other = (noisy_mean(model, stream_key(9, view)) for view in range(2))
    contrast = 0.0
    for ids in ({*users.tolist()}, {*(positive + USERS).tolist()}):
        for i in ids:
            cos = {j: float(torch.cosine_similarity(one[i], other[j], dim=0)) for j in ids}
            total = sum(math.exp(c / 0.2) for c in cos.values())
            contrast -= math.log(math.exp(cos[i] / 0.2) / total) / len(ids)
    assert float(own.detach()) == pytest.approx(0.5 * contrast, rel=1e-5)
    keys = torch.tensor(model.noise_keys(9))
    assert torch.equal(model(users, positive, keys)[2], own), "keys in a tensor, as a CUDA graph"


def test_xsimgcl_without_noise_leaves_the_free_layer_out() -> None:
    model = XSimGCL(data(), DIM, **options())
    x, a = torch.cat([model.user, model.item]).detach().double(), adjacency()
    expected = (a @ x + a @ a @ x + a @ a @ a @ x) / 3
    assert torch.allclose(torch.cat(model.tables()).detach().double(), expected, atol=1e-6)


def test_uniform_noise_stays_in_the_orthant_and_gaussian_noise_does_not() -> None:
    clean = torch.cat(Graph(data()).propagate(*torch.split(torch.ones(70, DIM), [30, 40])))
    for released, inside in ((False, True), (True, False)):
        cls = ReleasedXSimGCL if released else XSimGCL
        model = cls(data(), DIM, layers=1, eps=5.0, **options())
        with torch.no_grad():
            model.user.fill_(1), model.item.fill_(1)
        noisy = torch.cat(model._layers(0)[0]).detach()
        touched = clean > 0
        assert bool((noisy[touched] > 0).all()) is inside
        length = (noisy - clean)[touched.all(1)].norm(dim=1)
        assert torch.allclose(length, torch.full_like(length, 5.0), atol=1e-4)


@pytest.mark.parametrize("path", ["on", "off"])
def test_noise_has_its_length_and_keeps_the_orthant(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(301, 24, generator=torch.Generator().manual_seed(4))
    x[0], x[1, 3] = 0, 0
    drawn = uniforms(5, (301, 24))
    expected = x.double().sign() * drawn / drawn.norm(dim=1, keepdim=True) * 0.3
    monkeypatch.setenv("PSL_KERNELS", path)
    got = orthant_noise(x, 5, 0.3)
    assert torch.allclose(got.double(), expected, rtol=1e-6, atol=1e-9)
    assert not torch.equal(got, orthant_noise(x, 6, 0.3))
    twice = orthant_noise(x.double(), 5, 0.3)
    assert twice.dtype == torch.float64
    assert torch.allclose(twice, expected, rtol=1e-12)


def test_gaussian_noise_is_the_generators_at_its_length() -> None:
    x = torch.randn(31, 24, generator=torch.Generator().manual_seed(4))
    drawn = torch.randn(31, 24, generator=torch.Generator().manual_seed(5)).double()
    expected = x.double().sign() * drawn / drawn.norm(dim=1, keepdim=True) * 0.3
    got = ReleasedXSimGCL(data(), DIM, eps=0.3, **options()).noise(x.requires_grad_(), 5)
    assert torch.allclose(got.double(), expected, rtol=1e-6, atol=1e-9) and not got.requires_grad


def test_noise_is_the_same_in_any_number_of_threads() -> None:
    x, before = torch.randn(301, 24), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(orthant_noise(x, 5, 0.3))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_info_nce_has_a_gradient() -> None:
    g = torch.Generator().manual_seed(3)
    one, two = (torch.randn(5, 4, dtype=torch.float64, generator=g).requires_grad_() for _ in "ab")
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.2), (one, two))


def test_masking_repetitions_is_leaving_them_out() -> None:
    """A GPU masks, a CPU leaves out."""
    g = torch.Generator().manual_seed(3)
    ids = torch.tensor([4, 1, 4, 2, 1, 4])
    rows = [torch.randn(6, 4, dtype=torch.float64, generator=g)[ids].requires_grad_() for _ in "ab"]
    repeated = torch.tensor([False, False, True, False, True, True])
    results = []
    for masked in (False, True):
        u, v = (torch.nn.functional.normalize(x, dim=1) for x in rows)
        value = _masked(u, v, 0.2, repeated)[0] if masked else info_nce(*rows, 0.2, ids)
        results.append((value.detach(), *torch.autograd.grad(value, rows)))
    for one, two in zip(*results, strict=True):
        assert torch.allclose(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.gpu
@pytest.mark.parametrize("name", BACKBONES)
def test_a_gpu_gives_the_same(name: str) -> None:
    cpu = get_backbone(name).build(data(), DIM, **options())
    gpu = get_backbone(name).build(data(), DIM, **options()).to("cuda")
    for one, two in zip(cpu.tables(), gpu.tables(), strict=True):
        assert torch.allclose(one, two.cpu(), atol=1e-5)

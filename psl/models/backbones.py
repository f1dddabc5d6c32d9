"""Recommenders by name: tables of users and items whose inner product is the score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psl.errors import look_up
from psl.interactions import Interactions
from psl.models.graph_models import LightGCN, LightGCNPlusPlus, SimGCL, SimpleX, XSimGCL
from psl.models.matrix_factorization import MatrixFactorization

__all__ = ["BACKBONES", "BackboneSpec", "get_backbone"]


@dataclass(frozen=True)
class BackboneSpec:
    """What a trainer must know about a named backbone.

    Attributes
    ----------
    build : callable
        ``(train, dim, *, score, init_std, generator, **options) -> module``.
    options : tuple of str
        Fields of the run's configuration that ``build`` takes too; one that is not set keeps the
        module's default.
    """

    build: Callable[..., MatrixFactorization]
    options: tuple[str, ...] = ()


def _mf(train: Interactions, dim: int, **options: Any) -> MatrixFactorization:
    return MatrixFactorization(train.num_users, train.num_items, dim, **options)


BACKBONES: dict[str, BackboneSpec] = {
    "mf": BackboneSpec(_mf),
    "lightgcn": BackboneSpec(LightGCN, ("layers",)),
    "xsimgcl": BackboneSpec(XSimGCL, ("layers", "contrast_weight")),
    "simgcl": BackboneSpec(SimGCL, ("layers", "contrast_weight")),
    "lightgcn++": BackboneSpec(
        LightGCNPlusPlus, ("layers", "norm_exponent", "neighbor_exponent", "own_weight")
    ),
    "simplex": BackboneSpec(SimpleX, ("own_weight",)),
}


def get_backbone(name: str) -> BackboneSpec:
    """Look a backbone up by name; raises UnknownNameError."""
    return look_up("backbone", name, BACKBONES)

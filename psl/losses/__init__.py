"""Ranking losses: scores in, one value per positive out.

A loss never sees embeddings.  ``positive`` has shape ``(B,)``, ``negative`` ``(B, N)``; each row is
one positive and the items it is compared with.  For the cosine losses the scores are on the scale
``f = cos / 2`` of the paper, so that ``d = negative - positive`` lies in [-1, 1] and ``tau`` is the
temperature as printed there; :func:`psl.half_cosine` makes such scores of embeddings.  A loss is
float32, or float64 where the scores are: half-precision scores are raised before anything is
subtracted.

In reading order: ``base``; ``pairwise``, which defines SL and PSL (4.1); ``robust``; the paper's
baselines ``bpr``, ``bsl``, ``advinfonce``, ``llpauc``; ``stateful``, for ids and a loss's own
parameters; the others of the field: ``slatk``, ``sogclr``, ``sogslatk``, ``talos``, ``drrl``,
``ccl``, ``gbce``, ``simce``, ``lambdaloss``, ``guidedrec``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from psl.errors import look_up
from psl.losses.advinfonce import AdvInfoNCELoss, adv_infonce_loss
from psl.losses.bpr import BPRLoss, bpr_loss
from psl.losses.bsl import BSLLoss, bsl_loss
from psl.losses.ccl import CCLLoss, ccl_loss
from psl.losses.drrl import DrRLLoss, drrl_loss
from psl.losses.gbce import GBCELoss, gbce_loss
from psl.losses.guidedrec import GuidedRecLoss
from psl.losses.lambdaloss import LambdaLoss
from psl.losses.llpauc import LLPAUCLoss
from psl.losses.pairwise import (
    PairwiseSoftmaxLoss,
    SoftmaxLoss,
    pairwise_softmax_loss,
    softmax_loss,
)
from psl.losses.simce import SimCELoss, simce_loss
from psl.losses.slatk import SLatKLoss, slatk_loss
from psl.losses.sogclr import SogCLRLoss
from psl.losses.sogslatk import SogSLatKLoss
from psl.losses.stateful import Batch, EmbedFn, StatefulLoss, TrainingSetup, UpdateTarget
from psl.losses.talos import TalosLoss, talos_loss

__all__ = [
    "LOSSES",
    "AdvInfoNCELoss",
    "BPRLoss",
    "BSLLoss",
    "Batch",
    "CCLLoss",
    "DrRLLoss",
    "EmbedFn",
    "GBCELoss",
    "GuidedRecLoss",
    "LLPAUCLoss",
    "LambdaLoss",
    "LossSpec",
    "PairwiseSoftmaxLoss",
    "SLatKLoss",
    "SimCELoss",
    "SoftmaxLoss",
    "SogCLRLoss",
    "SogSLatKLoss",
    "StatefulLoss",
    "TalosLoss",
    "TrainingSetup",
    "UpdateTarget",
    "adv_infonce_loss",
    "bpr_loss",
    "bsl_loss",
    "ccl_loss",
    "drrl_loss",
    "gbce_loss",
    "get_loss",
    "pairwise_softmax_loss",
    "simce_loss",
    "slatk_loss",
    "softmax_loss",
    "talos_loss",
]


@dataclass(frozen=True)
class LossSpec:
    """What a trainer must know about a named loss.

    Attributes
    ----------
    build : callable
        ``(tau, **options) -> module`` with the signature ``(positive, negative)``, and ``batch``
        where it says ``needs_ids = True``; a :class:`StatefulLoss` is told of the training.
    score : {"cosine", "inner"}
        ``f = cos / 2`` or the plain inner product, in training and evaluation alike.
    negatives : int or None
        Items drawn for each positive where the loss fixes it (BPR: 1), else ``None``.
    init_std : float or None
        Standard deviation of the model's initial embeddings where the loss fixes it.
    options : tuple of str
        Fields of the run's configuration that ``build`` takes beside ``tau``, where they are set.
    tau : bool
        Whether there is a temperature; one that is given is ignored otherwise.
    """

    build: Callable[..., nn.Module]
    score: Literal["cosine", "inner"] = "cosine"
    negatives: int | None = None
    init_std: float | None = None
    options: tuple[str, ...] = ()
    tau: bool = True


def _psl(activation: str) -> LossSpec:
    return LossSpec(partial(PairwiseSoftmaxLoss, activation=activation), options=("form",))


def _without_tau(build: Callable[..., nn.Module], *options: str, **fixed: Any) -> LossSpec:
    """Return the spec of a loss without a temperature, of inner products unless it says so."""
    given = {"score": "inner", **fixed}
    return LossSpec(lambda tau, **own: build(**own), options=options, tau=False, **given)


LOSSES: dict[str, LossSpec] = {
    "bpr": _without_tau(BPRLoss, negatives=1),
    "llpauc": _without_tau(LLPAUCLoss, "alpha", "beta", score="cosine"),
    "sl": LossSpec(SoftmaxLoss),
    "advinfonce": LossSpec(AdvInfoNCELoss),
    "bsl": LossSpec(BSLLoss, options=("tau2",)),
    "psl-tanh": _psl("tanh"),
    "psl-atan": _psl("atan"),
    "psl-relu": _psl("relu"),
    "psl-softplus": _psl("softplus"),
    "sl@20": LossSpec(SLatKLoss, options=("tau_weight", "refresh")),  # the follow-up paper's
    "sl@k": LossSpec(SLatKLoss, options=("tau_weight", "refresh", "k")),
    "sogclr": LossSpec(SogCLRLoss, options=("gamma",)),
    "sogsl@k": LossSpec(SogSLatKLoss, options=("tau_weight", "refresh", "k", "gamma")),
    "talos": LossSpec(TalosLoss, options=("k",)),
    "drrl": _without_tau(DrRLLoss, "margin", "order", "negative_weight", score="cosine"),
    "ccl": _without_tau(CCLLoss, "margin", "negative_weight", score="cosine"),
    "gbce": _without_tau(GBCELoss, "calibration"),
    "simce": _without_tau(SimCELoss, "margin"),
    "lambdarank": _without_tau(partial(LambdaLoss, "swap")),
    "lambdaloss": _without_tau(LambdaLoss),
    "lambdaloss@k": _without_tau(partial(LambdaLoss, k=20), "k"),
    "guidedrec": _without_tau(GuidedRecLoss, score="cosine", negatives=9),
}


# What others call them, for who looks for it here.
KNOWN_AS = dict.fromkeys(("softmax", "sampled-softmax", "ssm", "infonce"), "sl")
KNOWN_AS["psl"] = "psl-relu"


def get_loss(name: str) -> LossSpec:
    """Look a loss up by the name it has in the paper's tables; raises UnknownNameError."""
    return look_up("loss", name, LOSSES, KNOWN_AS.get(name))

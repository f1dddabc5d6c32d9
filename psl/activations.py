"""Surrogate activations of the pairwise softmax loss, in the log domain.

The ranking metric counts pairs with the Heaviside step ``delta(d) = 1[d >= 0]`` of the score
difference ``d = f(u, j) - f(u, i)``.  The softmax loss replaces it by ``exp(d)``; PSL by a tighter
``sigma(d)`` (equation 4.2).  Losses only ever need ``log sigma(d)``, so that is what lives here.
The kernels have it in their own languages, as ``log_sigma_and_slope`` in their ``maths.py``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from psl.errors import look_up

__all__ = ["ACTIVATIONS", "Activation", "get_activation", "log1p_exp"]


@dataclass(frozen=True)
class Activation:
    """A surrogate ``sigma`` of the step function, known by its logarithm.

    Attributes
    ----------
    name : str
        Name used by every loss, command and record.
    log : callable
        ``d -> log sigma(d)``, elementwise; ``d`` of any shape, dimensionless, floating point.
        Finite in value and gradient for every finite ``d``.  Below a finite ``domain`` (of ``relu``
        and ``atan``) there is no logarithm: its argument is held at the machine epsilon of the
        dtype, in float32 ``log sigma = -15.94``, and the gradient is zero.
    slope : callable
        ``d -> (log sigma)'(d)``, elementwise: what a pair weighs in the gradient of a softmax loss,
        beside its share of the sum.
    domain : float
        ``sigma(d) > 0`` for ``d > domain`` (``-inf`` when positive everywhere).
    kernels : bool
        Whether the kernels of :mod:`psl.kernels` know it by its name.  Any other is taken in torch.
    """

    name: str
    log: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    domain: float = -math.inf
    kernels: bool = False

    def __call__(self, d: Tensor) -> Tensor:
        """Return ``sigma(d)`` itself; losses use :attr:`log`."""
        return self.log(d).exp()


def _log_one_plus(x: Tensor) -> Tensor:
    """Return ``log(1 + x)``, held finite (with zero gradient) where ``1 + x`` reaches zero."""
    return torch.log1p(x.clamp(min=torch.finfo(x.dtype).eps - 1))


def _inverse_one_plus(x: Tensor) -> Tensor:
    """Return the derivative of :func:`_log_one_plus`."""
    return torch.where(x > torch.finfo(x.dtype).eps - 1, 1 / (1 + x), 0)


def _slope_atan(d: Tensor) -> Tensor:
    return _inverse_one_plus(torch.atan(d)) / (1 + d * d)


def log1p_exp(x: Tensor, *, single: float = 20) -> Tensor:
    """Return ``log(1 + exp(x))`` to the last digit, elementwise; ``x`` is floating point.

    It is torch's ``softplus``, which above a threshold takes ``x`` itself.  At 20 that leaves out
    2e-9: more than float64 may lose, and nothing to float32, whose threshold is ``single``.
    """
    return functional.softplus(x, threshold=40 if x.dtype == torch.float64 else single)


# As an activation.  Between 20 and 40 the value is the same in float32, but the gradient differs in
# its last bit from that of a loss: a run of either kind must come out again to the bit.
_log_softplus = partial(log1p_exp, single=40)


def _log_tanh(d: Tensor) -> Tensor:
    """Return ``log(1 + tanh(d))``.

    It is ``log(2 / (1 + exp(-2 d)))``: positive everywhere, where ``1 + tanh(d)`` rounds to 0.
    """
    return math.log(2) - _log_softplus(-2 * d)


ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("exp", lambda d: d, torch.ones_like, kernels=True),
        Activation("tanh", _log_tanh, lambda d: 2 * torch.sigmoid(-2 * d), kernels=True),
        Activation("atan", lambda d: _log_one_plus(d.atan()), _slope_atan, -math.tan(1), True),
        Activation("relu", _log_one_plus, _inverse_one_plus, -1.0, True),
        # Appendix C.2: sigma = exp(d) + 1.  Its logarithm, log1p_exp, is torch's softplus.
        Activation("softplus", _log_softplus, torch.sigmoid, kernels=True),
    )
}


def get_activation(name: str) -> Activation:
    """Look an activation up by name; raises UnknownNameError."""
    return look_up("activation", name, ACTIVATIONS)

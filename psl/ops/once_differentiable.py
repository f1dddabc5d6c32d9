"""Values with a first derivative only: whoever asks for a second is told, and not misled.

A gradient that a formula gives, and not the chain rule, is a constant to whatever differentiates
it again: it would drop out of a penalty unseen, or leave half of a Hessian.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["once_differentiable", "raise_on_double_backward"]


def raise_on_double_backward(
    words: str, gradients: tuple[Tensor, ...], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return gradients, in a backward pass, that raise a RuntimeError if they are gone back.

    They lead to the inputs: ``torch.autograd.grad`` goes only where it leads to what it was asked
    about, and would go round an end that stands aside.
    """
    return _End.apply(words, len(gradients), *gradients, *inputs)


def once_differentiable(value: Tensor, words: str) -> Tensor:
    """Return ``value`` with its derivative, which raises a RuntimeError if it is derived again.

    While ``torch.compile`` traces it is returned as it is: what is compiled has no second
    derivative anyway, and says so.
    """
    if torch.compiler.is_compiling() or not value.requires_grad:
        return value
    return _Once.apply(value, words)


class _Once(torch.autograd.Function):
    """The identity, up to its first derivative."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, words: str) -> Tensor:
        ctx.words = words
        ctx.save_for_backward(value)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if torch.is_grad_enabled():  # create_graph=True
            (grad,) = raise_on_double_backward(ctx.words, (grad,), ctx.saved_tensors)
        return grad, None


class _End(torch.autograd.Function):
    """The identity, without a derivative."""

    @staticmethod
    def forward(ctx: Any, words: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.words = words
        return tuple(g.view_as(g) for g in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError(ctx.words)

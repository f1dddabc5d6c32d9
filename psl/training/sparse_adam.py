"""A step of Adam that reads and moves the rows of a batch, and no other row."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from psl.errors import TrainingError
from psl.kernels.dispatch import cpu_kernels
from psl.losses import Batch, BPRLoss
from psl.losses.base import has_builtin_forward
from psl.models.backbones import MatrixFactorization

__all__ = ["SparseAdam"]

OWN = ("tables", "scale", "embed", "forward")  # what decides that a score has two rows alone


class SparseAdam(torch.optim.Adam):
    """Adam whose moments of a row stand still between its turns; the steps are counted for all.

    As :class:`torch.optim.SparseAdam`, and with weight decay: to the gradient of a row that stands
    in the batch ``weight_decay * row`` is added, once, however often it stands there.  The gradient
    in the scores is autograd's, but for BPR; that in the rows is a kernel's, with the step.

    Parameters
    ----------
    model : MatrixFactorization
    lr, weight_decay : float

    Raises
    ------
    TrainingError
        If the scores have more than two rows in them, as those of a graph, or no kernel serves.
    """

    def __init__(self, model: MatrixFactorization, lr: float, weight_decay: float) -> None:
        kind = type(model)
        if any(getattr(kind, name) is not getattr(MatrixFactorization, name) for name in OWN):
            raise TrainingError(
                f"sparse-adam is for the backbone mf: a step of {kind.__name__} moves every row"
            )
        if cpu_kernels(model.user) is None:
            raise TrainingError(
                "sparse-adam is a kernel of the CPU: it needs --device cpu, numba (pip install "
                "'psl[fast]') and PSL_KERNELS not off"
            )
        self.tables, self.cosine = (model.user, model.item), model.score == "cosine"
        super().__init__(self.tables, lr=lr, weight_decay=weight_decay)
        for x in self.tables:
            moments = {k: torch.zeros_like(x) for k in ("exp_avg", "exp_avg_sq")}
            self.state[x] = {"step": torch.zeros(()), **moments}
        self.slots = tuple(x.new_full((len(x),), -1, dtype=torch.int64) for x in self.tables)

    def train(self, loss: Any, batch: Batch, *, moves: bool) -> Tensor:
        """Return the mean loss of a batch, and leave the gradient of the loss's own parameters.

        With ``moves`` the model is moved.
        """
        kernels = cpu_kernels(self.tables[0])
        assert kernels is not None and batch.negative is not None
        columns = torch.cat([batch.positive.unsqueeze(1), batch.negative], 1)
        of_scores = partial(loss, batch=batch) if getattr(loss, "needs_ids", False) else loss
        bpr = isinstance(loss, BPRLoss) and has_builtin_forward(loss, BPRLoss)
        score, factor, before, weight, value = kernels.pair_scores(
            *self.tables, batch.users, columns, cosine=self.cosine, bpr=bpr
        )
        if not bpr:
            leaf = score.detach().requires_grad_(moves)
            value = of_scores(leaf[:, 0], leaf[:, 1:])
            value.mean().backward()
            weight = leaf.grad
        if moves:
            for state in (states := [self.state[x] for x in self.tables]):
                state["step"] += 1
            moments = (tuple(s[k] for s in states) for k in ("exp_avg", "exp_avg_sq"))
            settings = {k: self.param_groups[0][k] for k in ("lr", "betas", "eps", "weight_decay")}
            kernels.move_rows(
                batch.users, columns, (before, weight, factor, score),
                (self.tables, *moments, self.slots), int(states[0]["step"]),
                cosine=self.cosine, **settings,
            )  # fmt: skip
        return value.detach().mean()

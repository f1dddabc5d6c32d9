"""A step of Adam that reads and moves the rows of a batch, and no other row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from psl.errors import TrainingError
from psl.kernels.dispatch import cpu_kernels
from psl.losses import Batch
from psl.models.backbones import MatrixFactorization

__all__ = ["SparseAdam"]

OWN = ("tables", "scale", "embed", "forward")  # what decides that a score has two rows alone


class SparseAdam(torch.optim.Adam):
    """Adam whose moments of a row stand still between its turns; the steps are counted for all.

    As :class:`torch.optim.SparseAdam`, and with weight decay: to the gradient of a row that stands
    in the batch ``weight_decay * row`` is added, once, however often it stands there.  The gradient
    of the scores is autograd's; that of the rows follows in a kernel, with the step.

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
                "sparse-adam is a kernel of the CPU: --device cpu, pip install 'psl[fast]', and "
                "PSL_KERNELS not off"
            )
        self.tables = model.user, model.item
        super().__init__(self.tables, lr=lr, weight_decay=weight_decay)
        self.cosine = model.score == "cosine"
        self.slots = [x.new_full((len(x),), -1, dtype=torch.int64) for x in self.tables]
        for table in self.tables:
            moments = {k: torch.zeros_like(table) for k in ("exp_avg", "exp_avg_sq")}
            self.state[table] = {"step": torch.zeros(()), **moments}

    def step_of(
        self, of_scores: Callable[[Tensor, Tensor], Tensor], batch: Batch, *, moves: bool
    ) -> Tensor:
        """Return the mean loss of a batch, with the gradient of the loss's own parameters.

        With ``moves`` the model is moved.
        """
        kernels, (users, items) = cpu_kernels(self.tables[0]), self.tables
        assert kernels is not None and batch.negative is not None
        columns = torch.cat([batch.positive.unsqueeze(1), batch.negative], 1)
        score, factor = kernels.pair_scores(users, items, batch.users, columns, self.cosine)
        leaf = score.detach().requires_grad_(moves)
        value = of_scores(leaf[:, 0], leaf[:, 1:]).mean()
        value.backward()
        if leaf.grad is not None:
            many = columns.shape[1]
            rows = batch.users.repeat_interleave(many)
            place = torch.arange(len(rows)) // many
            before = users.detach()[batch.users]  # the items' gradients are of the same moment
            pairs = (x.flatten() for x in (leaf.grad, factor, score))
            weights = *pairs, self.cosine
            self._move(0, rows, items, columns.flatten(), *weights)
            self._move(1, columns.flatten(), before, place, *weights)
        return value.detach()

    def _move(self, side: int, rows: Tensor, *pairs: Any) -> None:
        table, slot = self.tables[side], self.slots[side]
        state, group = self.state[table], self.param_groups[0]
        state["step"] += 1
        moved = table, state["exp_avg"], state["exp_avg_sq"], slot
        settings = {k: group[k] for k in ("lr", "betas", "eps", "weight_decay")}
        cpu_kernels(table).move_rows(rows, *pairs, moved, int(state["step"]), **settings)

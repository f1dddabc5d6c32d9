"""Adam on tables: on all rows, at the bandwidth of a GPU's memory, or on those of a batch."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from psl.errors import TrainingError
from psl.kernels.dispatch import choose, cpu_kernels
from psl.losses import Batch, BPRLoss
from psl.losses.base import has_builtin_forward
from psl.models.matrix_factorization import MatrixFactorization

__all__ = ["SparseAdam", "table_adam"]


def table_adam(parameters: list[Any], lr: float, weight_decay: float) -> torch.optim.Adam:
    """Return Adam (Kingma and Ba 2015) with coupled weight decay, in one kernel for each table.

    On a CPU it is torch's own fused one.  On a GPU that gives a block of threads 65,536 numbers: of
    a table of half a million it keeps eight of a hundred multiprocessors busy.
    """
    if parameters[0].is_cuda and choose("adam_step", parameters[0]) is not None:
        # "capturable" says that its step may stand in a CUDA graph, and the counter on the device.
        return _TableAdam(parameters, lr=lr, weight_decay=weight_decay, capturable=True)
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


class _TableAdam(torch.optim.Adam):
    """With the state of torch's Adam, so that the same checkpoint serves both.

    Its settings are numbers: in a step that is recorded they stay what they were.
    """

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every table that has a gradient."""
        for group in self.param_groups:
            settings = {k: group[k] for k in ("lr", "betas", "eps", "weight_decay")}
            for table in group["params"]:
                if table.grad is None:
                    continue
                state, kernel = self.state[table], choose("adam_step", table)
                if not state:
                    state["step"] = torch.zeros((), device=table.device)
                    state |= {k: torch.zeros_like(table) for k in ("exp_avg", "exp_avg_sq")}
                state["step"] += 1
                assert kernel is not None
                moments = state["exp_avg"], state["exp_avg_sq"], state["step"]
                kernel(table, table.grad.contiguous(), *moments, **settings)


class SparseAdam(torch.optim.Adam):
    """Adam that reads and moves the rows of a batch alone, for inner products and few draws.

    As torch's ``SparseAdam``: the moments of a row stand still between its turns, the steps are
    counted for all.  To the gradient of a row that stands in a batch ``weight_decay * row`` is
    added, once.  TrainingError: a step would move other rows too, or no kernel serves.
    """

    def __init__(self, model: MatrixFactorization, lr: float, weight_decay: float) -> None:
        kind = type(model)
        names, plain = ("tables", "scale", "embed", "forward"), MatrixFactorization
        if any(getattr(kind, name) is not getattr(plain, name) for name in names):
            words = f"a step of {kind.__name__} moves every row"
            raise TrainingError(f"sparse-adam is for the backbone mf: {words}")
        if model.score != "inner":
            raise TrainingError("sparse-adam is for scores that are inner products, not cosines")
        if choose("sparse_adam_step", model.user) is None:
            needs = "--device cpu, numba (pip install 'psl[fast]') and PSL_KERNELS not off"
            raise TrainingError(f"sparse-adam is a kernel of the CPU: it needs {needs}")
        self.tables = model.user, model.item
        super().__init__(self.tables, lr=lr, weight_decay=weight_decay)
        for x in self.tables:
            moments = {k: torch.zeros_like(x) for k in ("exp_avg", "exp_avg_sq")}
            self.state[x] = {"step": torch.zeros(()), **moments}
        self.slots = tuple(x.new_full((len(x),), -1, dtype=torch.int64) for x in self.tables)

    def train(self, of_scores: Any, batch: Batch, *, moves: bool) -> Tensor:
        """Return a batch's mean loss, leave the gradient of its parameters, and move the model."""
        kernels, (users, items) = cpu_kernels(self.tables[0]), (x.detach() for x in self.tables)
        assert kernels is not None and batch.negative is not None
        columns = torch.cat([batch.positive.unsqueeze(1), batch.negative], 1)
        before = users.index_select(0, batch.users)
        score = kernels.sampled_scores(before, items, columns).requires_grad_(moves)
        if isinstance(of_scores, BPRLoss) and has_builtin_forward(of_scores, BPRLoss):
            with torch.no_grad():  # what autograd finds, in fewer steps
                d = score[:, 1:] - score[:, :1]
                value, w = softplus(d).mean(), torch.sigmoid(d) / d.numel()
                weight = torch.cat([-w.sum(1, keepdim=True), w], 1)
        else:
            value = of_scores(score[:, 0], score[:, 1:]).mean()
            value.backward()
            weight = score.grad
        if moves:
            states = [self.state[x] for x in self.tables]
            for state in states:
                state["step"] += 1
            both = (tuple(s[k] for s in states) for k in ("exp_avg", "exp_avg_sq"))
            group, t = self.param_groups[0], int(states[0]["step"])
            keep, keep_square = group["betas"]
            rate = group["lr"] * math.sqrt(1 - keep_square**t) / (1 - keep**t)
            numbers = 1 - keep, 1 - keep_square, rate, group["eps"], group["weight_decay"]
            what = (batch.users, columns, before, weight), (self.tables, *both, self.slots)
            kernels.sparse_adam_step(*what, numbers)
        return value.detach()

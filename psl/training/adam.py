"""Adam on tables, at the bandwidth of a GPU's memory."""

from __future__ import annotations

import torch
from torch import Tensor

from psl.kernels.dispatch import gpu_kernels

__all__ = ["table_adam"]


def table_adam(parameters: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Adam:
    """Return Adam (Kingma and Ba 2015) with coupled weight decay, in one kernel for each table.

    On a CPU it is torch's own fused one.  On a GPU that gives a block of threads 65,536 numbers: of
    a table of half a million it keeps eight of a hundred multiprocessors busy.
    """
    if parameters[0].is_cuda and gpu_kernels(parameters[0]) is not None:
        # "capturable" says that its step may stand in a CUDA graph, and the counter on the device.
        return _TableAdam(parameters, lr=lr, weight_decay=weight_decay, capturable=True)
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


class _TableAdam(torch.optim.Adam):
    """With the state of torch's Adam, so that the same checkpoint serves both.

    Its settings are numbers: in a step that is recorded they stay what they were.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every table that has a gradient."""
        if closure is not None:
            raise ValueError("a closure is not called: take the gradients first")
        for group in self.param_groups:
            settings = {k: group[k] for k in ("lr", "betas", "eps", "weight_decay")}
            for table in group["params"]:
                if table.grad is None:
                    continue
                state, kernels = self.state[table], gpu_kernels(table)
                if not state:
                    state["step"] = torch.zeros((), device=table.device)
                    state |= {k: torch.zeros_like(table) for k in ("exp_avg", "exp_avg_sq")}
                state["step"] += 1
                assert kernels is not None
                moments = state["exp_avg"], state["exp_avg_sq"], state["step"]
                kernels.adam_step(table, table.grad.contiguous(), *moments, **settings)

"""What a run changes: model, loss, optimizer, the best parameters."""

from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from psl.errors import TrainingError
from psl.interactions import Interactions
from psl.kernels.dispatch import gpu_kernels
from psl.losses import StatefulLoss, TrainingSetup, UpdateTarget
from psl.models.matrix_factorization import MatrixFactorization
from psl.ops import fused_spec
from psl.streams import torch_stream
from psl.training.adam import SparseAdam, table_adam
from psl.training.config import RunConfig
from psl.training.cuda_graph import CUDAGraphStep

__all__ = ["TrainState"]


@dataclass
class TrainState:
    """The mutable part of a run; what a checkpoint holds."""

    model: MatrixFactorization
    loss: Any
    optimizer: torch.optim.Adam
    device: torch.device
    best: dict[str, Tensor]
    best_score: float = -1.0
    best_epoch: int = 0
    epoch: int = 0
    use_graphs: bool = False  # whether a step may be recorded as a CUDA graph, and is then kept in
    graph_steps: dict[UpdateTarget, CUDAGraphStep] = field(default_factory=dict)

    @classmethod
    def create(cls, config: RunConfig, pairs: Interactions, device: torch.device) -> Self:
        """Build model, loss and optimizer before the first epoch; ``pairs`` are trained on."""
        spec, shape = config.loss_spec, config.backbone_spec
        model = shape.build(
            pairs,
            config.dim,
            score=spec.score,
            init_std=spec.init_std or config.init_std,
            generator=torch_stream(config.seed, "init"),
            **config.given(shape.options),
        ).to(device)
        tables, rates = list(model.parameters()), (config.lr, config.weight_decay)
        adam = SparseAdam(model, *rates) if config.optimizer else table_adam(tables, *rates)
        loss = config.build_loss()
        loss.reduction, loss.check_range = "none", True
        if config.draws is None and (config.setting == "noise" or fused_spec(loss) is None):
            raise TrainingError(
                f"{config.loss} ({config.setting}) needs sampled negatives: negatives must be at "
                "least 1; SL and PSL without noise can take the whole catalogue"
            )
        if isinstance(loss, StatefulLoss):
            # The stream keeps its first name: another would give every record other numbers.
            own = torch_stream(config.seed, "player")
            what = pairs.num_users, pairs.num_items, config.lr, config.weight_decay, own, pairs
            loss.setup(TrainingSetup(*what, config.draws))
        loss.to(device)
        state = cls(model, loss, adam, device, {})
        if device.type == "cuda" and model.replayable and gpu_kernels(model.user) is not None:
            state.use_graphs = True
            for group in (g for o in state.optimizers()[1:] for g in o.param_groups):
                group["capturable"] = True
        return state

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the model's, then those of the loss's own parameters."""
        return [self.optimizer, *getattr(self.loss, "optimizers", [])]

    def offer(self, score: float, epoch: int) -> None:
        """Keep these parameters if they are the best so far; a later tie wins."""
        if score >= self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def load_best(self) -> None:
        """Put the best parameters so far into the model."""
        self.model.load_state_dict(self.best)

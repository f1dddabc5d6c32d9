"""In-batch negatives across processes: each compares its users with the items of all."""

import os
import tempfile

import torch
import torch.distributed as dist
from torch import Tensor, nn

from psl import SoftmaxLoss, half_cosine, in_batch_loss

PROCESSES, STEPS, BATCH, FEATURES = 2, 40, 64, 12


class TwoTowers(nn.Module):
    """DistributedDataParallel wants one module that is called once a step."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Linear(FEATURES, 8), nn.Linear(FEATURES, 8)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        return half_cosine(self.user(users), self.item(items))


def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features of pairs that share a hidden cause, and the ids of their items."""
    g = torch.Generator().manual_seed(step)
    ids = torch.randint(500, (BATCH,), generator=g)
    table = torch.randn(500, FEATURES, generator=torch.Generator().manual_seed(0))
    users = table[ids].roll(1, dims=1) + 0.3 * torch.randn(BATCH, FEATURES, generator=g)
    return users, table[ids], ids


class Gather(torch.autograd.Function):
    """Rows of all processes, this one's first, so that item k is the positive of row k."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(PROCESSES)]
        dist.all_gather(parts, x)  # by itself it has no gradient
        return torch.cat(parts).roll(-dist.get_rank() * len(x), 0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.roll(dist.get_rank() * len(grad) // PROCESSES, 0)  # one order everywhere
        dist.all_reduce(grad)
        return grad.chunk(PROCESSES)[dist.get_rank()]


def train(rank: int, processes: int) -> tuple[list[Tensor], float, float]:
    """Train on a part of each batch; return parameters, and this process's first and last loss."""
    torch.manual_seed(0)
    towers = TwoTowers()
    model = nn.parallel.DistributedDataParallel(towers) if processes > 1 else towers
    adam, loss, values = torch.optim.Adam(model.parameters(), lr=0.01), SoftmaxLoss(0.1), []
    for step in range(STEPS):
        users, items, ids = (x.chunk(processes)[rank] for x in batch(step))
        u, v = model(users, items)
        if processes > 1:
            v, ids = Gather.apply(v), Gather.apply(ids)
        value = in_batch_loss(u, v, loss, item_ids=ids)
        value.backward()  # DistributedDataParallel takes the mean of the gradients
        adam.step()
        adam.zero_grad()
        values.append(value.item())
    return [p.detach() for p in towers.parameters()], values[0], values[-1]


def work(rank: int, folder: str) -> None:
    """Be one of the processes."""
    store = {"init_method": f"file://{folder}/store", "world_size": PROCESSES}
    dist.init_process_group("gloo", rank=rank, **store)
    found = train(rank, PROCESSES)
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # these processes are on one machine
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (folder,), PROCESSES)
        two, first, last = torch.load(f"{folder}/found.pt")
    gap = max(float((a - b).abs().max()) for a, b in zip(train(0, 1)[0], two, strict=True))
    assert gap < 1e-5
    print(f"loss: {first:.3f} before, {last:.3f} after")
    print(f"largest difference of a parameter to one process with the whole batch: {gap:.1e}")

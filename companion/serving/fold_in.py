"""A user who was not in training: an embedding from what they have, with the items as they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from psl import SoftmaxLoss, catalogue_loss, half_cosine
from psl.errors import DataError

__all__ = ["fold_in"]

STEPS = 100


def fold_in(items: Tensor, history: np.ndarray, tau: float = 0.1) -> Tensor:
    r"""Return the embedding (d,) that explains a history best.

    It minimises the softmax loss (3.1) of the history against the whole catalogue, the mean over
    its items i of :math:`\log \sum_j e^{(f_j - f_i)/\tau}` with half cosines f, from the mean of
    their directions on, by L-BFGS.

    Parameters
    ----------
    items : Tensor, shape (I, d)
        Of a trained model.
    history : ndarray of int64, shape (H,)
        Rows of the items that the user has, at least one.
    tau : float
        Temperature.

    Raises
    ------
    DataError
        Without an item in the history, or with a direction that is not there: embeddings of zeros.
    """
    own = torch.from_numpy(history).to(items.device)
    loss = SoftmaxLoss(tau)
    with torch.no_grad():
        start = half_cosine(items[own], items[own])[1].mean(0)
    if not len(own) or not bool(start.any()):
        raise DataError("a history is one or more items that the model has learned something of")
    user = start[None].clone().requires_grad_()
    search = torch.optim.LBFGS([user], max_iter=STEPS, line_search_fn="strong_wolfe")

    def value() -> Tensor:
        search.zero_grad()
        u, v = half_cosine(user, items)
        out = catalogue_loss(u.expand(len(own), -1), v, own, loss)
        out.backward()
        return out

    with torch.enable_grad():
        search.step(value)
    return half_cosine(user.detach(), items)[0][0]

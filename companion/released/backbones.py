"""The backbone that the paper's public code has in another form than its authors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from psl.models.backbones import BackboneSpec
from psl.models.contrast import info_nce
from psl.models.graph_models import XSimGCL
from psl.ops import lookup

__all__ = ["RELEASED_BACKBONES", "ReleasedXSimGCL"]


class ReleasedXSimGCL(XSimGCL):
    """XSimGCL with Gaussian noise, which can turn a sign around, in place of uniform.

    An id that is twice in the batch is contrasted with itself.
    """

    replayable = False  # a generator takes its seed from a number

    @torch.no_grad()
    def noise(self, x: Tensor, key: int | Tensor) -> Tensor:
        """Return what is added to a table; the draws depend on the kind of device too."""
        own = torch.Generator(x.device).manual_seed(int(key))
        drawn = torch.randn(x.shape, generator=own, device=x.device, dtype=x.dtype)
        return x.sign() * normalize(drawn, dim=1) * self.eps

    def contrast(self, ids: Tensor, final: Tensor, first: Tensor) -> Tensor:
        """Return the InfoNCE of two tables at the ids of a batch, repetitions and all."""
        return info_nce(lookup(ids, final), lookup(ids, first), self.tau)


RELEASED_BACKBONES: dict[str, BackboneSpec] = {
    "xsimgcl": BackboneSpec(ReleasedXSimGCL, ("layers", "contrast_weight")),
}

"""GPU kernels, written in Triton (extra ``cuda``): what a training step does with sampled items.

The same functions as :mod:`psl.kernels`, for float32 on a CUDA device.  Nothing of size
``B x N x d`` is ever in memory, nothing waits for the device, and the sums are taken in a fixed
order, without atomic additions of floats: the same inputs give the same bits.

An id outside the table is not an error here, for raising one would mean waiting for the device.
Nothing is read there, and the row's loss and gradients are NaN, which a training run does not
survive.

Triton's interpreter runs these kernels on a CPU, slowly, which is how they are tested without a
GPU; see :func:`psl.fast.gpu_kernels`.
"""

from psl.kernels_cuda.catalogue import catalogue_softmax
from psl.kernels_cuda.negatives import uniform_negatives
from psl.kernels_cuda.sampled import pairwise_softmax, scatter_scores, scores

__all__ = [
    "catalogue_softmax",
    "pairwise_softmax",
    "scatter_scores",
    "scores",
    "uniform_negatives",
]

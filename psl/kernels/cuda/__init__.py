"""GPU kernels, written in Triton (extra ``cuda``): what a training step does.

By the names of :mod:`psl.kernels.cpu`, for float32 on a CUDA device.  Nothing of size
``B x N x d`` is ever in memory, nothing waits for the device, and no sum depends on who comes
first: the same inputs give the same bits.

An id outside the table is not an error here, for raising one would mean waiting for the device.
Nothing is read there, and the row's loss and gradients are NaN, which a training run does not
survive.
"""

from psl.kernels.cuda.adam import adam_step
from psl.kernels.cuda.catalogue import catalogue_softmax
from psl.kernels.cuda.graph import csr_product
from psl.kernels.cuda.negatives import uniform_negatives
from psl.kernels.cuda.rows import lookup_backward, orthant_noise, unit_rows, unit_rows_backward
from psl.kernels.cuda.sampled import sampled_scores, sampled_scores_backward, sampled_softmax

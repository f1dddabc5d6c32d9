"""CPU kernels, compiled by numba (extra ``fast``): what training and ranking do with many items.

Each does in one visit what torch does in several, and nothing of size ``B x N x d`` is ever in
memory.  Sums have one order in any number of threads: one or many give the same bits.

Nothing here is imported unless numba is there; the plain torch paths of :mod:`psl.ops` and
:mod:`psl.negatives` give the same numbers and are the oracle.
"""

from psl.kernels.cpu.adam import sparse_adam_step
from psl.kernels.cpu.best_items import best_items
from psl.kernels.cpu.catalogue import catalogue_softmax
from psl.kernels.cpu.graph import csr_product
from psl.kernels.cpu.negatives import mix_in, uniform_negatives
from psl.kernels.cpu.rows import orthant_noise, unit_rows, unit_rows_backward
from psl.kernels.cpu.sampled import sampled_scores, sampled_scores_backward, sampled_softmax

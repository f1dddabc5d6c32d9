"""Pairwise softmax losses for recommendation, their kernels, and a trainer.

The paper: *PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for
Recommendation*, NeurIPS 2024, arXiv 2411.00163.  In its order:

- :mod:`psl.losses`: losses of scores.  ``losses/pairwise.py`` defines the loss (4.1).
- :mod:`psl.activations`: the surrogates of the step function (4.2).
- :mod:`psl.dro`: the worst case over a KL ball, and its dual (Lemma A.3).
- :mod:`psl.interactions`, :mod:`psl.holdout`, :mod:`psl.dataset`: data in memory.
- :mod:`psl.negatives`: the negative samplers.
- :mod:`psl.ops`: a loss from embeddings and item ids, without a (B, N, d) tensor.
- :mod:`psl.kernels`: compiled code below that.  ``kernels/cpu/sampled.py`` and
  ``kernels/cuda/sampled.py`` are the sampled loss, ``catalogue.py`` that of a small catalogue.
- :mod:`psl.models`: matrix factorisation, SimpleX, LightGCN, LightGCN++, XSimGCL, SimGCL.
- :mod:`psl.training`: from a configuration to a model.  ``training/step.py`` is one step.
- :mod:`psl.evaluation`: Recall, NDCG and MRR of the whole ranking.
- :mod:`psl.errors`, :mod:`psl.files`, :mod:`psl.streams`: what all of them use.
"""

from psl.losses import (
    BPRLoss,
    PairwiseSoftmaxLoss,
    SoftmaxLoss,
    bpr_loss,
    pairwise_softmax_loss,
    softmax_loss,
)
from psl.losses.robust import RobustBPRLoss, robust_bpr_loss
from psl.negatives import PopularityNegatives, UniformNegatives
from psl.ops import catalogue_loss, half_cosine, in_batch_loss, sampled_loss

__version__ = "0.1.0"

__all__ = [
    "BPRLoss",
    "PairwiseSoftmaxLoss",
    "PopularityNegatives",
    "RobustBPRLoss",
    "SoftmaxLoss",
    "UniformNegatives",
    "__version__",
    "bpr_loss",
    "catalogue_loss",
    "half_cosine",
    "in_batch_loss",
    "pairwise_softmax_loss",
    "robust_bpr_loss",
    "sampled_loss",
    "softmax_loss",
]

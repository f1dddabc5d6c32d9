"""Pairwise softmax losses for recommendation, and the experiments of the PSL paper.

The paper: *PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for
Recommendation*, NeurIPS 2024, arXiv 2411.00163.
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
from psl.negatives import UniformNegatives
from psl.ops import catalogue_loss, half_cosine, sampled_loss

__version__ = "0.1.0"

__all__ = [
    "BPRLoss",
    "PairwiseSoftmaxLoss",
    "RobustBPRLoss",
    "SoftmaxLoss",
    "UniformNegatives",
    "__version__",
    "bpr_loss",
    "catalogue_loss",
    "half_cosine",
    "pairwise_softmax_loss",
    "robust_bpr_loss",
    "sampled_loss",
    "softmax_loss",
]

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
from psl.robust import RobustBPRLoss, robust_bpr_loss

__version__ = "0.1.0"

__all__ = [
    "BPRLoss",
    "PairwiseSoftmaxLoss",
    "RobustBPRLoss",
    "SoftmaxLoss",
    "__version__",
    "bpr_loss",
    "pairwise_softmax_loss",
    "robust_bpr_loss",
    "softmax_loss",
]

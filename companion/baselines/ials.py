"""Implicit alternating least squares, by the package implicit."""

from __future__ import annotations

import numpy as np
import torch

from companion.baselines.linear import matrix
from companion.serving import Score, products
from psl.errors import DataError
from psl.interactions import Interactions

__all__ = ["als_factors", "ials"]

FACTORS, ITERATIONS = 64, 15


def ials(train: Interactions, ridge: float = 1.0, confidence: float = 10.0) -> Score:
    r"""Score by factors of weighted least squares (Hu, Koren and Volinsky 2008), 64 of them.

    They minimise :math:`\sum_{ui} c_{ui} (p_{ui} - x_u^\top y_i)^2 + \lambda (\|x\|^2 + \|y\|^2)`,
    with ``p`` 1 and ``c`` the ``confidence`` where u has i, 0 and 1 elsewhere.

    Raises
    ------
    DataError
        If implicit is not installed.
    """
    found = als_factors(train, ridge, confidence)
    return products(*(torch.from_numpy(x) for x in found))


def als_factors(
    train: Interactions, ridge: float, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of users (U, 64) and items (I, 64); the items are solved for last."""
    try:
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise DataError("iALS needs implicit (pip install 'psl[baselines]')") from error
    with threadpool_limits(1, "blas"):  # implicit has threads of its own
        model = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=ridge,
            alpha=confidence,
            iterations=ITERATIONS,
            use_cg=False,
            use_gpu=False,
            num_threads=torch.get_num_threads(),
            random_state=0,
        )
        model.fit(matrix(train).astype("float32"), show_progress=False)
    return model.user_factors, model.item_factors

"""The ends of what a grid of a GPU and a sampler can take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from psl.errors import DataError
from psl.negatives import UniformNegatives


def test_a_grid_has_one_dimension_for_rows_and_columns() -> None:
    """The second ends at 65,535 blocks: 2.1 million columns of 32."""
    pytest.importorskip("triton", reason="triton is missing (extra `cuda`)")
    from psl.kernels.cuda.maths import grid_of

    assert grid_of(3, 65_536 * 32 + 1, 32) == (3 * 65_537,)
    with pytest.raises(ValueError, match="too many for one call"):
        grid_of(1 << 20, 1 << 20, 32)


@pytest.mark.parametrize(("users", "items"), [(0, 5), (5, 0)])
def test_a_sampler_of_nothing_is_refused(users: int, items: int) -> None:
    empty: Any = SimpleNamespace(num_users=users, num_items=items, degrees=np.zeros(users))
    with pytest.raises(DataError, match="there is nothing to draw"):
        UniformNegatives(empty)

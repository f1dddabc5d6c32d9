"""A run is the same to the bit in one thread and in two, also where its last batch is small."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from companion.threads import torch_threads
from psl.training.loop import selection
from small_runs import SMALL, data, run


@pytest.mark.parametrize(("backbone", "last"), [("mf", 6), ("xsimgcl", 7)])
def test_a_last_batch_of_a_few_rows_has_the_bits_of_one_thread_in_two(
    backbone: str, last: int
) -> None:
    pairs = len(selection(SMALL, data())[0])
    size = next(n for n in range(200, pairs) if pairs % n == last)
    config = dataclasses.replace(
        SMALL, loss="psl-relu", backbone=backbone, batch_size=size, epochs=2, dim=64, negatives=400
    )
    results = []
    for threads in (1, 2):
        with torch_threads(threads):
            results.append(run(config))
    one, two = results
    assert one.record["validation_curve"] == two.record["validation_curve"]
    assert one.record["metrics"] == two.record["metrics"]
    a, b = (x.model.state_dict() for x in results)
    assert all(torch.equal(a[k], b[k]) for k in a)

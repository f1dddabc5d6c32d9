"""Whether the GPU kernels compile, for devices that need not be there: an A100 and an H100.

Their functions are called with tensors on the CPU, and what they would launch is compiled as the
launch would compile it, and not run.  So the types, the warps and the alignment are those of a run.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from psl.activations import ACTIVATIONS

triton = pytest.importorskip("triton", reason="triton is missing (extra `cuda`)")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("Triton only interprets: TRITON_INTERPRET=1", allow_module_level=True)
try:
    triton.knobs.nvidia.ptxas  # noqa: B018
except (AttributeError, RuntimeError):
    pytest.skip("triton brings no assembler for CUDA (ptxas)", allow_module_level=True)
kernels = pytest.importorskip("psl.kernels.cuda")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402


class Compiled(NamedTuple):
    name: str
    ptx: str
    spilled: list[int]  # bytes stored beside the registers, by the assembler's own count


class Absent:
    """A driver without a device."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> str:  # a name of its own: a real device's cache is left alone
        return f"a device of capability {self.capability}"

    def get_current_stream(self, device: str) -> int:
        return 0

    def get_current_target(self) -> Any:
        return GPUTarget("cuda", self.capability, 32)


@pytest.fixture(params=[pytest.param(80, marks=pytest.mark.thorough), 90])
def launches(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[list[Compiled]]:
    """Compile what is launched meanwhile; the assembler's report comes on the standard output."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DUMP_PTXAS_LOG", "1")
    driver = Absent(request.param)
    monkeypatch.setattr(triton.runtime.driver, "_active", driver)
    run, out = JITFunction.run, []

    def compile_only(self, *args, grid, warmup, **kwargs):
        with redirect_stdout(io.StringIO()) as said:
            kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        if said.getvalue():  # or it was compiled before
            assert kernel.asm["cubin"]
            spilled = [int(x) for x in re.findall(r"(\d+) bytes spill stores", said.getvalue())]
            assert spilled, said.getvalue()
            out.append(Compiled(self.__name__, kernel.asm["ptx"], spilled))

    monkeypatch.setattr(JITFunction, "run", compile_only)
    yield out
    for kernel in KERNELS.values():
        kernel.device_caches.pop(driver.get_current_device(), None)


KERNELS = {
    name: x
    for module in (
        kernels.sampled,
        kernels.catalogue,
        kernels.negatives,
        kernels.rows,
        kernels.graph,
        kernels.adam,
    )
    for name, x in vars(module).items()
    if isinstance(x, JITFunction) and x.__module__ == module.__name__  # no helper from another
}


def problem(dim: int) -> list[torch.Tensor]:
    return [
        torch.zeros(8, dim),
        torch.zeros(48, dim),
        torch.zeros(8, dtype=torch.int64),
        torch.zeros(8, 160, dtype=torch.int64),
    ]


def test_every_kernel_compiles(launches: list[Compiled]) -> None:
    """At the paper's d, with next to nothing kept in memory that should be in a register."""
    users, items, positive, negative = inputs = problem(64)
    for activation in ACTIVATIONS:
        kernels.sampled_softmax(*inputs, 0.1, activation)
    dense = kernels.catalogue_softmax
    dense(*inputs, 0.1, "atan", True)
    dense(users, items, positive, None, 0.1, "tanh", True)
    kernels.sampled_scores(users, items, negative)
    kernels.sampled_scores_backward(users, items, negative, torch.zeros(8, 160))
    kernels.uniform_negatives(5, torch.arange(9), torch.arange(8), 300, positive, 160)
    kernels.unit_rows_backward(items, *kernels.unit_rows(items))
    kernels.lookup_backward(users, positive, 300)
    kernels.orthant_noise(items, 5, 0.1)
    matrix = torch.eye(48).to_sparse_csr()
    kernels.csr_product(matrix, items)
    kernels.adam_step(
        *(items.clone() for _ in range(4)),
        torch.ones(()),
        lr=0.1,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
    )
    assert {x.name for x in launches} == set(KERNELS)
    weights = [x for x in launches if x.name == "_weights"]  # of drawn items, and of all
    assert len(weights) == 2
    for kernel in launches:
        assert max(kernel.spilled) <= 8, kernel.name
        # Sums of floats in an order of their own would not give the same bits twice.
        atomic = [line for line in kernel.ptx.splitlines() if "atom." in line or "red." in line]
        adds = any(".f32" in line for line in atomic)
        # That of drawn items adds the same number however often.
        assert adds == (kernel is weights[0]), kernel.name


def test_rows_that_are_not_aligned(launches: list[Compiled]) -> None:
    """At a d that is no multiple of 16 a number is loaded at a time: more registers for places."""
    users, items, _, negative = inputs = problem(50)
    kernels.sampled_softmax(*inputs, 0.1, "relu")
    kernels.sampled_scores(users, items, negative)
    kernels.sampled_scores_backward(users, items, negative, torch.zeros(8, 160))
    assert {x.name for x in launches} >= {"_loss", "_item_gradient", "_scores", "_gather"}
    assert max(sum(x.spilled) for x in launches) <= 32


def test_wide_rows_stay_in_registers_too(launches: list[Compiled]) -> None:
    kernels.sampled_softmax(*problem(2048), 0.1, "relu")
    assert [x.spilled for x in launches if x.name in ("_loss", "_item_gradient")] == [[0], [0]]

"""How the CPU kernels are compiled and kept, and the functions of one number they are made of."""

from __future__ import annotations

import ast
import io
import math
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from psl.activations import ACTIVATIONS

kernels = pytest.importorskip("psl.kernels.cpu", reason="numba is missing")
compiling = pytest.importorskip("psl.kernels.cpu.compiling", reason="numba is missing")
maths = pytest.importorskip("psl.kernels.cpu.maths", reason="numba is missing")
import numba  # noqa: E402
from numba import prange  # noqa: E402

pytestmark = pytest.mark.first


def test_exponential() -> None:
    x = np.concatenate([np.linspace(-86, 63, 20001), np.linspace(-1, 1, 2001)]).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    got = np.array([maths.exp(t) for t in x], dtype=np.float64)
    assert np.all(np.abs(got / exact - 1) < 1e-7 * (2 + np.abs(x)))


def test_logarithm() -> None:
    x = np.concatenate([np.geomspace(1e-7, 1e7, 20001), np.linspace(0.5, 2, 2001)])
    exact = np.log(x.astype(np.float32).astype(np.float64))
    got = np.array([maths.log(t) for t in x.astype(np.float32)], dtype=np.float64)
    assert np.all(np.abs(got - exact) < 2e-7 * np.maximum(np.abs(exact), 1))


def test_arc_tangent() -> None:
    x = np.concatenate([np.linspace(-1, 1, 20001), np.geomspace(1, 1e6, 2001)]).astype(np.float32)
    got = np.array([maths.atan(t) for t in x], dtype=np.float64)
    error = np.abs(got - np.arctan(x.astype(np.float64)))
    assert error[np.abs(x) <= 1].max() < 2e-7  # the range of d
    assert error.max() < 6e-7


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_the_module_has_a_kernel(name: str) -> None:
    assert set(maths.ACTIVATIONS) == set(ACTIVATIONS)
    # 30, 32, 60, 64 and 87: where a formula or the range of exp ends.
    ends = [s * d for d in (29.0, 31.0, 33.0, 44.0, 59.0, 62.0, 65.0, 89.0, 500.0) for s in (1, -1)]
    for d in (-0.9, -0.3, 0.0, 0.4, 0.9, *ends):
        if d <= ACTIVATIONS[name].domain:
            continue
        x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
        value = ACTIVATIONS[name].log(x)
        value.backward()
        assert x.grad is not None
        h, slope = maths.log_sigma_and_slope(maths.ACTIVATIONS.index(name), np.float32(d))
        assert math.isclose(h, float(value.detach()), rel_tol=1e-6, abs_tol=4e-7)
        assert math.isclose(slope, float(x.grad), rel_tol=2e-6, abs_tol=1e-30)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_what_is_compiled_is_without_types(device: str) -> None:
    """mypy is told to let it pass: numba and Triton infer its types."""
    compilers = ("compiled", "over_threads", "inlined", "helper", "njit", "triton.jit")
    for path in (Path(str(kernels.__file__)).parents[1] / device).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.returns is None:
                names = [ast.unparse(d) for d in node.decorator_list]
                assert any(name.startswith(compilers) for name in names), (path.name, node.name)


def copied(folder: Path) -> Path:
    """Copy the package, and return where the copy has its kernels."""
    package = Path(str(kernels.__file__)).parents[2]
    shutil.copytree(package, folder / "psl", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "psl" / "kernels" / "cpu"


COMPILED = """
import torch
from psl.kernels import cpu as kernels
from psl.kernels.cpu import compiling

stored, store = [], compiling._store
compiling._store = lambda function, *rest: (stored.append(function), store(function, *rest))
kernels.unit_rows(torch.ones(2, 2)), kernels.csr_product(torch.eye(2).to_sparse_csr(), torch.eye(2))
print(*(function.__module__ for function in stored))
"""


def test_what_was_compiled_is_not_used_after_the_options_changed(tmp_path: Path) -> None:
    """numba looks at the file of a kernel only; what it is compiled with stands in another."""

    def compiled() -> list[str]:
        run = subprocess.run(
            [sys.executable, "-c", COMPILED],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout.split()

    path = copied(tmp_path) / "compiling.py"
    both = ["psl.kernels.cpu.rows", "psl.kernels.cpu.graph"]
    assert compiled() == both and compiled() == []
    path.write_text(path.read_text().replace('"nsz", "arcp"', '"nsz"'))
    assert compiled() == both


SMALL = """
import numpy as np
from numba import prange
from psl.kernels.cpu import maths
from psl.kernels.cpu.compiling import compiled

EXP = maths.ACTIVATIONS.index("exp")

@compiled
def kernel(x):
    for i in prange(len(x)):
        x[i] = maths.log_sigma_and_slope(EXP, x[i])[0]

def logarithm(d):
    x = np.full(1, d / 2, dtype=np.float32)
    kernel(x)
    return float(x[0])
"""


def test_what_was_compiled_is_not_used_after_its_mathematics_changed(tmp_path: Path) -> None:
    """The mathematics live in another file than the kernels."""
    path = copied(tmp_path) / "maths.py"
    (path.parent / "small.py").write_text(SMALL)  # one that is quickly compiled
    code = "from psl.kernels.cpu.small import logarithm; print(logarithm(1.0))"

    def value() -> float:
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return float(run.stdout)

    assert value() == 0.5
    path.write_text(path.read_text().replace("return d, f4(1)", "return d + f4(1), f4(1)"))
    assert value() == 1.5


def test_two_processes_compile_a_kernel_once_and_give_the_same_bits(tmp_path: Path) -> None:
    """Fails with numba's ``njit`` alone: it stores other machine code than it goes on with."""
    code = """
import hashlib, torch
from psl.kernels.cpu import compiling, sampled_softmax, unit_rows
stored, store = [], compiling._store
compiling._store = lambda function, *rest: (stored.append(function), store(function, *rest))
g = torch.Generator().manual_seed(0)
u, v = (unit_rows(torch.randn(rows, 64, generator=g))[0] for rows in (64, 500))
p, n = torch.randint(500, (64,), generator=g), torch.randint(500, (64, 200), generator=g)
out = sampled_softmax(u / 2, v, p, n, 0.1, "relu")
print(hashlib.sha256(b"".join(x.numpy().tobytes() for x in out)).hexdigest())
print(*(f"{f.__module__}.{f.__qualname__}:{f.__code__.co_firstlineno}" for f in stored))
"""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    runs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in "12"]
    (first, *by_first), (second, *by_second) = (run.communicate()[0].split() for run in runs)
    assert first == second
    stored = by_first + by_second
    assert stored and len(stored) == len({*stored})
    assert list(tmp_path.rglob("*.nbc"))


FACTORS = """
import sys
import numpy as np
from psl.kernels.cpu.compiling import over_threads

def share_of(factor):
    @over_threads
    def share(start, end, x):
        for i in range(start, end):
            x[i] *= factor
    return share

for factor in map(float, sys.argv[1:]):
    x = np.ones(3)
    share_of(factor)(3, x)
    print(x[0])
"""


def test_kernels_of_two_processes_are_told_apart_by_a_third(tmp_path: Path) -> None:
    """Loaded from the cache, one of two loops of the same name ran in place of the other."""
    (tmp_path / "factors.py").write_text(FACTORS)
    # Their symbols also hold a set of options in its order, which would differ by chance.
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONHASHSEED": "0"}

    def products(*factors: str) -> list[str]:
        command = [sys.executable, str(tmp_path / "factors.py"), *factors]
        run = subprocess.run(command, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.split()

    assert products("2") == ["2.0"] and products("3") == ["3.0"]
    assert products("2", "3") == ["2.0", "3.0"]


def test_without_a_child_process_a_kernel_compiles_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(parent: int) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(compiling, "_child", refuse)
    factor = time.time_ns() % 1000 / 7  # part of the cache's key: never stored before

    @compiling.compiled
    def kernel(x):
        for i in prange(len(x)):
            x[i] *= factor

    x = np.ones(3)
    kernel(x)
    assert (x == factor).all()


def test_a_kernel_that_does_not_compile_leaves_the_child_to_the_next() -> None:
    def wrong(x):
        return x.no_such_attribute

    def right(x):
        for i in prange(len(x)):
            x[i] += 1

    of = (numba.float64[::1],)
    requests, answers = io.BytesIO(), io.BytesIO()
    for function in (wrong, right):
        pickle.dump(numba.cloudpickle.dumps((function, False, of)), requests)
    requests.seek(0)
    compiling._serve(requests, answers)
    answers.seek(0)
    assert [pickle.load(answers) for _ in range(2)] == [None, None]
    with pytest.raises(numba.TypingError, match="no_such_attribute"):
        compiling.compiled(wrong)(np.ones(3))


def test_starting_the_kernels_leaves_torchs_number_of_threads_alone() -> None:
    code = (
        "import torch; torch.set_num_threads(1); from psl.ops import unit_rows; "
        "unit_rows(torch.ones(9, 4)); assert torch.get_num_threads() == 1"
    )
    two = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, env=two)


def test_ranking_does_not_load_torchs_compiler() -> None:
    """The first call of an operator of torch does, and a list of twenty need not wait for it."""
    code = (
        "import sys, torch; from psl.evaluation import evaluate;"
        "from psl.interactions import Interactions;"
        "pairs = Interactions.from_pairs([0, 1], [1, 2], 2, 4);"
        "evaluate(lambda u: (torch.ones(len(u), 3), torch.ones(4, 3)), pairs, None, cutoffs=(2,));"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

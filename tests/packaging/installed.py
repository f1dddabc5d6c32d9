"""Run the README's examples with the installed package; a plain script, for a bare environment.

    python tests/packaging/installed.py README.md base|fast|train

It needs nothing but what `pip install psl` brings, and fails where more than that is imported.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import torch

import psl
from psl.interactions import Interactions
from psl.kernels.dispatch import cpu_kernels

text, extra = Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]
home = Path(psl.__file__)
assert "site-packages" in home.parts, f"not the installed package: {home}"
data = ("templates/sweep.html", "templates/explorer.js", "paper/claims.yml")
assert all((home.parents[1] / "companion" / name).is_file() for name in data)
g = torch.Generator().manual_seed(0)
pairs = torch.rand(30, 90, generator=g) < 0.1
train = Interactions.from_pairs(*(x.numpy() for x in pairs.nonzero(as_tuple=True)), 30, 90)
names = {"positive": torch.zeros(2), "negative": torch.zeros(2, 3), "train": train}
names |= {"seed": 0, "epoch": 1, "step": 1, "users": torch.arange(8), "positives": torch.arange(8)}
names["user_table"] = torch.randn(30, 4, generator=g).requires_grad_()
names["item_table"] = torch.randn(90, 4, generator=g).requires_grad_()
exec("\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)), names)
assert names["user_table"].grad.any() and names["item_table"].grad.any()

served = cpu_kernels(torch.zeros(1)) is not None
assert served == (extra == "fast"), f"kernels serve: {served}"
if extra == "train":
    from psl.dataset import Dataset
    from psl.holdout import holdout
    from psl.streams import numpy_stream
    from psl.training import RunConfig
    from psl.training import train as run

    with tempfile.TemporaryDirectory() as folder:  # with a graph, and states on disk
        config = RunConfig(backbone="lightgcn", epochs=2, batch_size=4096, negatives=20, dim=8)
        state = Path(folder) / "state.safetensors"
        data = Dataset("synthetic", "iid", train, holdout(train, 0.5, numpy_stream(0))[1])
        assert run(config, data, device="cpu", checkpoint=state).record["metrics"]
of_extras = {"pandas", "scipy", "pooch", "safetensors", "typer", "rich", "yaml", "companion"}
# The extra `train` is still there where `fast` is tried, and numba takes SciPy where it is.
of_extras -= {"train": {"scipy", "safetensors"}, "fast": {"scipy"}}.get(extra, set())
assert not of_extras & set(sys.modules), of_extras & set(sys.modules)
print(f"psl {psl.__version__} ({extra}): the README's examples run, value {names['value']:.4f}")

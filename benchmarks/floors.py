"""What every trained loss has to beat: baselines on the parts that the losses are trained on.

``python -m benchmarks.floors amazon-beauty`` fits each on the pairs of a seed that validation has
left, chooses its settings on the validation pairs, and measures it on the test part.  The result
goes into ``results/tuning/floors.jsonl``, a line for each baseline and seed.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from companion import datasets
from companion.baselines import FLOORS, try_floor
from companion.experiments import read_seeds
from companion.serving import measure_scores
from psl.dataset import Dataset
from psl.files import replace_file
from psl.holdout import holdout
from psl.streams import numpy_stream
from psl.training.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results" / "tuning" / "floors.jsonl"
METRICS = ("ndcg@20", "recall@20")


def floor(name: str, data: Dataset, seed: int) -> dict[str, Any]:
    """Return the line of a baseline: its settings, its test metrics, where they come from."""
    kept, held = holdout(data.train, 0.1, numpy_stream(seed, "validation"))
    started = time.perf_counter()
    best = max(try_floor(name, kept, held), key=lambda tried: tried.score)
    fitted = FLOORS[name].fit(kept, **best.settings)
    means = measure_scores(fitted, data.test, data.train).means()
    return {
        "dataset": data.name,
        "setting": data.setting,
        "floor": name,
        "seed": seed,
        "settings": best.settings,
        "validation_ndcg@20": best.score,
        "metrics": {metric: means[metric] for metric in METRICS},
        "seconds": round(time.perf_counter() - started, 3),
        "dataset_fingerprint": data.fingerprint,
        **provenance(),
        "libraries": {name: version(name) for name in ("implicit", "scipy")},
    }


def main() -> None:
    """Measure, and put the lines in place of those of the same dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--seeds", default="1-5")
    args = parser.parse_args()
    lines = []
    if RESULTS.exists():
        lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    for dataset in args.datasets:
        data = datasets.load(dataset, "iid")
        lines = [line for line in lines if line["dataset"] != dataset]
        for name in FLOORS:
            for seed in read_seeds([args.seeds]):
                lines.append(floor(name, data, seed))
                print(dataset, name, seed, lines[-1]["settings"], lines[-1]["metrics"])
    replace_file(RESULTS, "".join(json.dumps(x, sort_keys=True) + "\n" for x in lines).encode())


if __name__ == "__main__":
    main()

"""From a trained file to approximate neighbours: a graph index of faiss beside the exact lists."""

import tempfile
from pathlib import Path

import faiss
import numpy as np

from psl.dataset import Dataset
from psl.holdout import holdout
from psl.interactions import Interactions
from psl.training import RunConfig, export, train

K = 20


def made_up(users: int = 400, items: int = 5000, liked: int = 30) -> Interactions:
    """Return users with the items that match their hidden taste best."""
    rng = np.random.default_rng(0)
    match = rng.standard_normal((users, 6)) @ rng.standard_normal((6, items))
    best = np.argsort(-match, axis=1)[:, :liked]
    return Interactions.from_pairs(np.repeat(np.arange(users), liked), best.ravel(), users, items)


def write(path: Path) -> None:
    """Train and write the file, as `psl train --save` does."""
    data = Dataset("made up", "iid", *holdout(made_up(), 0.2, np.random.default_rng(1)))
    config = RunConfig(dataset="made up", epochs=10, negatives=100, dim=32, lr=0.05)
    result = train(config, data, device="cpu")
    export.save(path, result.model, result.record)


def recall(index: faiss.Index, users: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of the exact lists that the index finds."""
    _, found = index.search(users, K)
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)]))


def main() -> None:
    """Build an index, and say what it loses."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "model.safetensors")
        kept = export.load(Path(folder) / "model.safetensors")
    users, items = kept.users.numpy(), kept.items.numpy()  # the inner product is the score
    exact = np.argsort(-(users @ items.T), axis=1)[:, :K]
    index = faiss.IndexHNSWFlat(items.shape[1], 6, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200  # with fewer, parts of the graph are never reached
    index.add(items)
    index.hnsw.efSearch = K
    before = recall(index, users, exact)
    index.hnsw.efSearch = 20 * K  # candidates that a search keeps: slower, and nearer to exact
    print(
        f"recall@{K}: {before:.3f} before, {recall(index, users, exact):.3f} after more candidates"
    )


if __name__ == "__main__":
    main()

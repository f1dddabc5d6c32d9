"""How losses, backbones and metrics are written in prose, tables and figures."""

__all__ = ["BACKBONES", "LABELS", "metric_name", "written"]

LABELS: dict[str, str] = {
    "bpr": "BPR",
    "sl": "SL",
    "psl-tanh": "PSL-tanh",
    "psl-atan": "PSL-atan",
    "psl-relu": "PSL-relu",
    "psl-softplus": "PSL-softplus",
    "llpauc": "LLPAUC",
    "advinfonce": "AdvInfoNCE",
    "bsl": "BSL",
    "sl@20": "SL@20",
    "sl@k": "SL@K",
    "sogclr": "SogCLR",
    "sogsl@k": "SogSL@K",
    "talos": "Talos",
    "drrl": "DrRL",
    "ccl": "CCL",
    "gbce": "gBCE",
    "simce": "SimCE",
    "lambdarank": "LambdaRank",
    "lambdaloss": "LambdaLoss",
    "lambdaloss@k": "LambdaLoss@K",
    "guidedrec": "GuidedRec",
    "step": "step",
}

BACKBONES = {"mf": "MF", "lightgcn": "LightGCN", "xsimgcl": "XSimGCL"}
METRICS = {"ndcg": "NDCG", "recall": "Recall", "mrr": "MRR"}


def metric_name(name: str) -> str:
    """Write ``ndcg@20`` as the field does: NDCG@20."""
    head, at, cut = name.partition("@")
    return METRICS.get(head, head) + at + cut


def written(name: str) -> str:
    """Write the name of a loss or a metric as the field does, and any other text as it is."""
    return LABELS.get(name, metric_name(name))

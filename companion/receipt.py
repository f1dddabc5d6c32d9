"""What came out on one machine in five minutes, as a file that others can hold against theirs.

It holds the ledger's rows that need no training, the kernels against the plain path, recorded runs
trained again as far as their first validation, and one small training done twice.  Of the machine
it says in general terms what decides a number: no name, no user, no path.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion import claims, datasets, records
from companion.doctor import self_test
from companion.doctor.kernels import TOLERANCE
from companion.records import content_digest
from companion.released import PaperConfig
from companion.rerun import allowed_gap, rerun
from psl.errors import PSLError, RecordError
from psl.kernels.dispatch import serving
from psl.training import train
from psl.training.device import describe, find_device, peak_memory
from psl.training.provenance import digest_of, provenance

__all__ = ["RERUNS", "SCHEMA", "Receipt", "differences", "make", "read"]

SCHEMA = 1
RERUNS = 4  # recorded runs, the quickest of as many losses
SMALL = PaperConfig(epochs=10, validate_every=5, negatives=100, dim=16, lr=0.05, protocol="clean")
NOT_RUN = "not yet run"  # a row of the ledger that waits for records

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
Part = Literal["claims", "kernels", "reruns", "training"]
Verdict = Literal["the same bits", "within tolerance", "differs", "not compared"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Claim(BaseModel):
    """A row of the ledger that needs no training."""

    model_config = STRICT
    id: str
    status: Literal[claims.STATUSES]  # type: ignore[valid-type]


class Check(BaseModel):
    """Something computed in two ways, or again; ``gap`` is how far the two are apart."""

    model_config = STRICT
    what: str
    verdict: Verdict
    gap: float | None = Field(default=None, ge=0)
    why: str = ""


class Receipt(BaseModel):
    """A receipt as it stands in its file; ``digest`` is that of everything else in it."""

    model_config = STRICT
    version: Literal[1] = Field(alias="schema")
    created: str
    versions: dict[str, str]
    code_digest: str
    companion_digest: Digest
    machine: dict[Literal["system", "device", "kernels"], str]
    claims: list[Claim]
    kernels: list[Check]
    reruns: list[Check]
    training: Check
    metrics: dict[str, float]
    # Of each part, and of the process: what a check costs on this machine.
    seconds: dict[Part, Annotated[float, Field(ge=0)]] = {}
    peak_memory_bytes: Annotated[int, Field(ge=0)] | None = None
    digest: Digest


def make(
    results: Path, *, device: str = "auto", progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Compute a receipt; ``progress`` is told what comes next.

    Raises
    ------
    PSLError
        If there is no such device, or the small training is not possible here.
    """
    where = find_device(device)
    started = {"claims": perf_counter()}
    progress("the ledger's rows that need no training")
    rows = claims.assess(claims.Subject.real(None))
    started["kernels"] = perf_counter()
    progress("the kernels against the plain path")
    kernels = [_check(x.what, x.error, TOLERANCE) for x in self_test(where)]
    started["reruns"] = perf_counter()
    reruns = list(_reruns(results, device, progress))
    started["training"] = perf_counter()
    progress("a small training, twice")
    first, second = (train(SMALL, datasets.load(), device=device).record for _ in range(2))
    ended = [*started.values(), perf_counter()][1:]
    gaps = [abs(value - second["metrics"][name]) for name, value in first["metrics"].items()]
    made = provenance()
    receipt = {
        "schema": SCHEMA,
        **{key: made[key] for key in ("created", "versions", "code_digest")},
        "companion_digest": digest_of(Path(__file__).parent),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "device": describe(where),
            "kernels": serving(where),
        },
        "claims": [{"id": r["id"], "status": r["status"]} for r in rows if r["status"] != NOT_RUN],
        "kernels": kernels,
        "reruns": reruns,
        "training": _check(f"{SMALL.loss} on {SMALL.backbone}, synthetic", max(gaps), 0.0),
        "metrics": first["metrics"],
        "seconds": {
            part: round(end - start, 2)
            for (part, start), end in zip(started.items(), ended, strict=True)
        },
        "peak_memory_bytes": peak_memory(torch.device("cpu")),
    }
    return {**receipt, "digest": content_digest(receipt)}


def _check(what: str, gap: float, tolerance: float) -> dict[str, Any]:
    verdict = "the same bits" if gap == 0 else "within tolerance" if gap <= tolerance else "differs"
    return {"what": what, "verdict": verdict, "gap": gap if math.isfinite(gap) else None}


def _reruns(
    results: Path, device: str, progress: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Train the quickest recorded runs again, of several losses, on data that is here."""
    load, here, losses = cache(datasets.load), datasets.archives_here(), set()
    kind = find_device(device).type
    known = [r for r in records.read(results) if r["device"].startswith("cpu") != (kind != "cpu")]
    for r in sorted(known, key=lambda r: r["seconds"] / len(r["validation_curve"])):
        c = r["config"]
        if c["loss"] in losses or here.get((c["dataset"], c["setting"])) != "":
            continue
        losses.add(c["loss"])
        what = f"{r['run_id']} {c['dataset']} ({c['setting']}), {c['loss']} on {c['backbone']}"
        progress(f"again: {what}")
        try:
            found = rerun(r, load(c["dataset"], c["setting"]), device=device)
        except PSLError as error:
            yield {"what": what, "verdict": "not compared", "gap": None, "why": str(error)}
        else:
            yield _check(what, found.gap, allowed_gap(found.device, r["device"]))
        if len(losses) == RERUNS:
            return


def read(path: Path) -> dict[str, Any]:
    """Read a receipt.

    Raises
    ------
    RecordError
        If it is none, or was edited: its digest is not that of its content.
    """
    try:
        receipt: dict[str, Any] = json.loads(path.read_bytes())
        Receipt.model_validate(receipt)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        told = repr(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")[1:-1]
        raise RecordError(f"{path}: no receipt ({told[:300]})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: no receipt ({' '.join(str(error).split())[:300]})") from None
    body = {key: value for key, value in receipt.items() if key != "digest"}
    if content_digest(body) != receipt["digest"]:
        raise RecordError(f"{path}: its digest is not that of its content: it was edited")
    return receipt


def differences(receipt: dict[str, Any], statuses: dict[str, str]) -> list[str]:
    """Say what in a receipt is not as it should be.

    Parameters
    ----------
    receipt : dict
        As :func:`read` returns it.
    statuses : dict
        What each row of the ledger is here, by id: :func:`companion.claims.read_statuses`.
    """
    out = []
    for row in receipt["claims"]:
        here = statuses.get(row["id"])
        if here is None:
            out.append(f"claim {row['id']}: {row['status']} there, no such row here")
        elif here != row["status"]:
            out.append(f"claim {row['id']}: {row['status']} there, {here} here")
    for kind in ("kernels", "reruns"):
        for found in receipt[kind]:
            if found["verdict"] == "differs":
                out.append(f"{kind}: {found['what']}: off by {found['gap']}")
    if receipt["training"]["verdict"] != "the same bits":
        out.append(f"training: {receipt['training']['what']}: two runs gave two results")
    return out

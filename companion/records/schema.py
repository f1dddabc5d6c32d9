"""What a record is: one model, by which every command reads and writes."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import from_json

from companion.released import PaperConfig
from psl.errors import PSLError, RecordError
from psl.training.provenance import SCHEMA, run_id

__all__ = ["METRICS", "Record", "check", "content_digest", "identity", "is_valid_filename", "parse"]

METRICS = ("recall@20", "ndcg@20")  # what the paper prints; every record has them
# What Windows takes in no file name, and what it takes for a device whatever the ending.
FORBIDDEN = set('<>:"/\\|?*')
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
RESERVED |= {port + number for port in ("COM", "LPT") for number in "0123456789¹²³"}
ROUNDING = 1e-9  # of sums over users

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
Share = Annotated[float, Field(ge=0, le=1)]
Metric = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|mrr_all_hits)@[1-9][0-9]{0,8}$")]
Text = Annotated[str, Field(min_length=1)]
# UTC, so that the order of the texts is that of the times.
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

# The fields of a configuration as they may stand in a file; PaperConfig judges their values.
_TYPES = get_type_hints(PaperConfig)
_FIELDS = {
    f.name: (_TYPES[f.name], f.default if f.metadata.get("option") else ...)
    for f in dataclasses.fields(PaperConfig)
}
Config: Any = create_model("Config", __config__=STRICT, **_FIELDS)  # type: ignore[call-overload]


class Validation(BaseModel):
    """A point of the validation curve."""

    model_config = STRICT
    epoch: PositiveInt
    loss: float
    ndcg: Share = Field(alias="ndcg@20")


class Record(BaseModel):
    """A record as it stands in a file; ``digest`` is that of everything else in it."""

    model_config = STRICT
    version: int = Field(alias="schema")
    run_id: Digest
    experiment: str
    config: Config
    dataset_fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    metrics: dict[Metric, Share]
    validation_curve: Annotated[list[Validation], Field(min_length=1)]
    best_epoch: PositiveInt
    seconds: NonNegativeFloat
    peak_memory_bytes: NonNegativeInt | None
    device: Text
    versions: dict[Text, Text]
    code_digest: Text
    kernels: Text | None = None
    created: Time
    # Of a run that was made again: when a result of it was first there.
    first_seen: Time | None = None
    continued_from: Text | None = None
    continued_from_device: Text | None = None
    digest: Digest

    @model_validator(mode="before")
    @classmethod
    def _is_of_this_schema(cls, record: Any) -> Any:
        if isinstance(record, dict) and record.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}, the one that this version of psl reads")
        return record

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Record:
        for wrong in (self._wrong_name(), self._wrong_metric(), self._wrong_curve()):
            if wrong:
                raise ValueError(wrong)
        return self

    def _wrong_name(self) -> str:
        """Say what is wrong with what the run is called."""
        if not is_valid_filename(self.experiment):
            return f"the experiment {self.experiment!r} is not a file name"
        given = self.config.model_dump(exclude_unset=True)
        try:
            config = PaperConfig(**given)
        except PSLError as error:
            return f"the configuration does not load ({error})"
        if config.as_dict() != given:
            return "the configuration is not the one that this version writes for the same run"
        if config.run_id != self.run_id:
            return "its run_id is not the digest of its config"
        return ""

    def _wrong_metric(self) -> str:
        """Say which metrics cannot come of one ranking."""
        if missing := [name for name in METRICS if name not in self.metrics]:
            return f"its metrics lack {missing[0]!r}"
        places = sorted((int(k), kind) for kind, k in (m.split("@") for m in self.metrics))
        best = {"recall": 0.0, "mrr": 0.0}
        hit: dict[int, bool] = {}  # whether any relevant item is among the first k
        for k, kind in places:
            value = self.metrics[f"{kind}@{k}"]
            if hit.setdefault(k, value > 0) != (value > 0):
                return f"of its metrics at {k} some are 0 and some are not"
            if value < best.get(kind, 0.0) - ROUNDING:
                return f"its {kind}@{k} is below that of a shorter list"
            if kind in best:
                best[kind] = value
        return ""

    def _wrong_curve(self) -> str:
        """Say where the validations are not those of the configuration."""
        every, epochs, curve = self.config.validate_every, self.config.epochs, self.validation_curve
        count = -(-epochs // every)
        if [p.epoch for p in curve] != [min((n + 1) * every, epochs) for n in range(len(curve))]:
            return "the epochs of its validation_curve are not those of its configuration"
        if len(curve) > count or (len(curve) < count and not self.config.patience):
            return f"its validation_curve has {len(curve)} points and its configuration {count}"
        if max(curve, key=lambda p: (p.ndcg, p.epoch)).epoch != self.best_epoch:
            return "its best_epoch is not the best of its validation_curve"
        return ""


def is_valid_filename(name: object) -> bool:
    """Say whether a file of a folder can have this name, on any system and without being hidden."""
    if not isinstance(name, str) or not name or not name.isprintable():
        return False
    if len(name.encode()) > 100 or name[0] == "." or name[-1] in ". " or set(name) & FORBIDDEN:
        return False
    return name.split(".")[0].rstrip().upper() not in RESERVED


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return by what a run is known: its experiment, its id, its data and its device."""
    return tuple(record[k] for k in ("experiment", "run_id", "dataset_fingerprint", "device"))


def content_digest(record: dict[str, Any]) -> str:
    """Return the digest of all that a record says, its own digest left out; 16 digits."""
    return run_id({key: value for key, value in record.items() if key != "digest"})


def check(record: Any, where: str) -> None:
    """Raise RecordError, naming the place, if a value is not a record."""
    try:
        Record.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        # Names of a file that is not ours: no line breaks, and no more than a line of them.
        told = repr(f"{place}: {words}" if place else words)[1:-1]
        raise RecordError(f"{where}: {told[:300]}") from None
    if record["digest"] != content_digest(record):
        raise RecordError(f"{where}: its digest is not that of its content: it was edited")


def parse(line: bytes, where: str) -> dict[str, Any]:
    """Read a line of a file; RecordError, naming the place, if it is not a record."""
    try:
        record = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise RecordError(f"{where}: not JSON ({error})") from None
    check(record, where)
    return dict(record)

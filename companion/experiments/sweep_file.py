"""A sweep of one's own: what its YAML file may say, and one line for what it may not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from companion.experiments.config import FROM_DATA, PLACE
from companion.experiments.grid import EXPERIMENTS
from companion.experiments.seeds import read_seeds
from companion.records import METRICS, file_of
from companion.released import PaperConfig
from psl.dataset import SETTINGS
from psl.errors import PSLError, UnknownNameError
from psl.evaluation import CUTOFFS
from psl.losses import LOSSES
from psl.models.backbones import BACKBONES

__all__ = ["SweepFile", "read_sweep"]

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
MEASURED = [f"{kind}@{k}" for kind in ("ndcg", "recall", "mrr") for k in CUTOFFS]
# Fields of a configuration that a file gives under names of their own, or not at all.
ELSEWHERE = {*PLACE, "seed", *FROM_DATA}


def _listed(value: Any) -> Any:
    """Take one value for a list of one."""
    return value if isinstance(value, list) else [value]


SOME, LISTED = Field(min_length=1), BeforeValidator(_listed)


def _known(kind: str, names: Any) -> AfterValidator:
    def check(given: str) -> str:
        if given not in names:
            raise UnknownNameError(kind, given, names)
        return given

    return AfterValidator(check)


def _seeds(value: Any) -> list[int]:
    texts = [str(x) for x in _listed(value)]
    try:
        return read_seeds(texts, "seeds")
    except PSLError as error:
        raise ValueError(str(error)) from None


def _fields(*, several: bool) -> Any:
    """Return the model of a configuration's fields, of a value each or of a list of them."""
    hints, kinds = get_type_hints(PaperConfig), {}
    for field in dataclasses.fields(PaperConfig):
        if field.name not in ELSEWHERE:
            kind = hints[field.name]
            listed = Annotated[list[kind], SOME, LISTED]  # type: ignore[valid-type]
            kinds[field.name] = (listed if several else kind, None)
    return create_model("Fields", __config__=STRICT, **kinds)  # type: ignore[call-overload]


Fixed: Any = _fields(several=False)
Grid: Any = _fields(several=True)


class SweepFile(BaseModel):
    """What is trained: each loss on each backbone, dataset and setting, at each point of the grid.

    Attributes
    ----------
    datasets : list of str
        Names, ``synthetic``, or archives of one's own, from the folder of the file.
    losses : list of str
    settings : list of str
        ``iid`` where it is not given.
    backbones : list of str
        ``mf`` where it is not given.
    seeds : list of int
        As ``0-4`` or ``0,3``, or a list; 0 where it is not given.
    config : dict
        Fields of a configuration that are alike in every run that has them.
    grid : dict
        Fields with a list of values: every combination is trained.
    tuned : bool or str
        Start from the paper's cell of each place in place of the usual values; or from the best
        trial there in a file of ``psl tune --save``, from the folder of this one.
    name : str
        What the file of the records is called; that of this file where it is not given.
    metric : str
        What is compared on the test part.
    """

    model_config = STRICT
    datasets: Annotated[list[str], SOME, LISTED]
    losses: Annotated[list[Annotated[str, _known("loss", list(LOSSES))]], SOME, LISTED]
    settings: Annotated[list[Annotated[str, _known("setting", SETTINGS)]], SOME, LISTED] = ["iid"]
    backbones: Annotated[
        list[Annotated[str, _known("backbone", list(BACKBONES))]], SOME, LISTED
    ] = ["mf"]
    seeds: Annotated[list[int], BeforeValidator(_seeds)] = [0]
    config: Fixed = Fixed()
    grid: Grid = Grid()
    tuned: bool | str = False
    name: str = ""
    metric: Annotated[str, _known("metric", MEASURED)] = METRICS[1]

    def fixed(self) -> dict[str, Any]:
        """Return the fields that are alike in every run."""
        return dict(self.config.model_dump(exclude_unset=True))

    def values(self) -> dict[str, list[Any]]:
        """Return the fields of the grid with their values."""
        return dict(self.grid.model_dump(exclude_unset=True))


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-5 is a number, as in YAML 1.2, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for node_of_key, _ in node.value:
            key = self.construct_object(node_of_key, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice", problem_mark=node_of_key.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_sweep(path: Path) -> SweepFile:
    """Read and check a file.

    Raises
    ------
    PSLError
        In one line: what is wrong first, and how much more.
    """
    try:
        content = yaml.load(path.read_bytes(), _Loader)
    except FileNotFoundError:
        raise PSLError(f"{path}: there is no such file") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise PSLError(f"{path}: {_not_yaml(error)}") from error
    if not isinstance(content, dict):
        raise PSLError(f"{path}: it names no datasets and losses")
    try:
        sweep = SweepFile.model_validate({"name": path.stem, **content})
        if sweep.name in EXPERIMENTS:
            raise PSLError(f"name: {sweep.name!r} is an experiment of the paper; give another one")
        file_of("", sweep.name)
        if both := sorted(sweep.fixed().keys() & sweep.values().keys()):
            raise PSLError(f"{both[0]} is in config and in grid; leave it out of one")
    except ValidationError as error:
        raise PSLError(f"{path}: {_first(error)}") from None
    except PSLError as error:
        raise PSLError(f"{path}: {error}") from None
    return sweep


def _first(found: ValidationError) -> str:
    """Say the first mistake in a line, an unknown key with the nearest one that there is."""
    errors = found.errors(include_url=False, include_context=False)
    # A key that is misspelt is missing too: the spelling is the mistake.
    errors.sort(key=lambda e: e["type"] != "extra_forbidden")
    first, more = errors[0], len(errors) - 1
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        inner = {"config": Fixed, "grid": Grid}.get(str(first["loc"][0]), SweepFile)
        above = f"key of {first['loc'][0]}" if len(first["loc"]) > 1 else "key"
        said = str(UnknownNameError(above, first["loc"][-1], inner.model_fields))
    elif first["type"] == "missing":
        said = f"{place} is missing"
    else:
        words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        given = "" if "unknown" in words else f", got {first['input']!r}"
        said = f"{place}: {words}{given}"[:400]
    return said + (f" (and {more} more)" if more else "")


def _not_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f" in line {mark.line + 1}" if mark else ""
    return f"not YAML: {getattr(error, 'problem', None) or ' '.join(str(error).split())}{line}"

"""The configuration of a run: what makes sense, and the run id that names it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from companion import datasets, records
from companion.released import RELEASED_BACKBONES, RELEASED_LOSSES, PaperConfig
from psl.errors import TrainingError, UnknownNameError
from psl.losses import LOSSES
from psl.models.backbones import BACKBONES
from psl.training import RunConfig
from psl.training.config import OPTIONS
from small_runs import SMALL, run


def test_one_number_is_one_run() -> None:
    typed = PaperConfig(weight_decay=0, seed=np.int64(3), tau=np.float32(0.25), epochs=5.0)  # type: ignore[arg-type]
    plain = PaperConfig(weight_decay=0.0, seed=3, tau=0.25, epochs=5)
    assert typed == plain and typed.run_id == plain.run_id


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tau": 0.0}, "tau must be positive"),
        ({"lr": float("nan")}, "lr must be positive"),
        ({"init_std": float("inf")}, "init_std must be positive"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"negatives": -1}, "negatives must be at least 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"lr": "0.1"}, "lr must be a number"),
        ({"tau": None}, "tau must be a number"),
        ({"epochs": None}, "epochs must be a whole number"),
        ({"epochs": 10**400}, "epochs must be at most 2147483647"),
        ({"lr": None}, "lr must be a number, got None"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite"),
        ({"dim": -1}, "dim must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"protocol": "mine"}, "protocol must be one of"),
        ({"dim": 10**12}, "dim must be at most 65536"),
        ({"negatives": 10**12}, "negatives must be at most 16777216"),
        ({"batch_size": 10**12}, "batch_size must be at most 2147483647"),
        ({"backbone": "lightgcn", "layers": 10**30}, "layers must be at most 1000"),
    ],
)
def test_configurations_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        PaperConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 0.5}, "psl-relu on mf has no option alpha"),
        ({"tau2": 0.1, "loss": "sl"}, "sl on mf has no option tau2"),
        ({"as_released": True}, "has no option as_released"),
        ({"layers": 2}, "has no option layers"),
        ({"layers": 0}, "has no option layers"),
        ({"alpha": 0.0}, "has no option alpha"),
        ({"form": "inside", "loss": "bpr"}, "bpr on mf has no option form"),
        ({"form": "outer"}, "form must be 'inside'"),
        ({"setting": "dark"}, "setting must be one of"),
        ({"setting": "noise"}, "needs a noise ratio"),
        ({"noise_ratio": 0.1}, "needs a noise ratio"),
        ({"setting": "noise", "noise_ratio": 1.1}, "noise_ratio must be at most 1"),
        ({"drop_marked": True}, "drop_marked is for the setting noise"),
        ({"mark_per_user": True}, "mark_per_user is for the setting noise"),
        ({"loss": "bsl", "tau2": 0.0}, "tau2 must be positive"),
        ({"loss": "llpauc", "alpha": 1.5}, "alpha must be at most 1"),
        ({"k": 5, "loss": "sl@20"}, "sl@20 on mf has no option k"),
        ({"loss": "sl@k", "k": 0}, "k must be at least 1"),
        ({"loss": "drrl", "order": 1.0}, "order must be above 1"),
        ({"loss": "ccl", "margin": float("nan")}, "margin must be finite"),
        ({"loss": "gbce", "calibration": 1.1}, "calibration must be at most 1"),
        ({"optimizer": "sgd"}, r"optimizer must be one of \('adam', 'sparse-adam'\), got 'sgd'"),
        ({"optimizer": ""}, "optimizer must be one of .*, got ''"),
        ({"backbone": "lightgcn", "own_weight": 0.1}, "psl-relu on lightgcn has no option own_w"),
        ({"backbone": "simplex", "layers": 1}, "psl-relu on simplex has no option layers"),
        ({"backbone": "simplex", "own_weight": 1.1}, "own_weight must be at most 1"),
        ({"backbone": "lightgcn++", "norm_exponent": -2.1}, "norm_exponent must be at least -2"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        PaperConfig(**changes)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'psl-tanh'"):
        PaperConfig(loss="psl-tan")
    with pytest.raises(UnknownNameError, match="unknown backbone 'mlp'"):
        PaperConfig(backbone="mlp")


PAPERS = {"as_released", "sampled_quantile"}  # fields of the companion's configuration alone
OTHER: dict[str, dict[str, Any]] = {
    "setting": {"setting": "ood"},
    "backbone": {"backbone": "lightgcn"},
    "loss": {"loss": "sl"},
    "protocol": {"protocol": "clean"},
    "noise_ratio": {"setting": "noise", "noise_ratio": 0.1},
    "drop_marked": {"setting": "noise", "noise_ratio": 0.1, "drop_marked": True},
    "mark_per_user": {"setting": "noise", "noise_ratio": 0.1, "mark_per_user": True},
    "tau2": {"loss": "bsl", "tau2": 0.3},
    "alpha": {"loss": "llpauc", "alpha": 0.3},
    "beta": {"loss": "llpauc", "beta": 0.3},
    "form": {"form": "inside"},
    "tau_weight": {"loss": "sl@20", "tau_weight": 0.5},
    "refresh": {"loss": "sl@20", "refresh": 2},
    "k": {"loss": "sl@k", "k": 5},
    "sampled_quantile": {"loss": "sl@k", "sampled_quantile": True},
    "gamma": {"loss": "sogclr", "gamma": 0.5},
    "margin": {"loss": "ccl", "margin": 0.9},
    "negative_weight": {"loss": "ccl", "negative_weight": 10.0},
    "order": {"loss": "drrl", "order": 2.0},
    "calibration": {"loss": "gbce", "calibration": 0.0},
    "optimizer": {"optimizer": "sparse-adam"},
    "layers": {"backbone": "lightgcn", "layers": 1},
    "contrast_weight": {"backbone": "xsimgcl", "contrast_weight": 0.1},
    "own_weight": {"backbone": "simplex", "own_weight": 0.0},
    "norm_exponent": {"backbone": "lightgcn++", "norm_exponent": 0.5},
    "neighbor_exponent": {"backbone": "lightgcn++", "neighbor_exponent": 0.5},
    "as_released": {"loss": "bsl", "as_released": True},
    "dataset_fingerprint": {"dataset_fingerprint": "f" * 16},
}


def test_the_run_id_names_the_configuration() -> None:
    ids = {SMALL.run_id}
    fields = dataclasses.fields(PaperConfig)
    for field in fields:
        now = getattr(SMALL, field.name)
        plain = {field.name: f"{now}x" if isinstance(now, str) else (now or 0) + 1}
        ids.add(dataclasses.replace(SMALL, **OTHER.get(field.name, plain)).run_id)
    assert len(ids) == len(fields) + 1


def test_the_papers_configuration_is_any_other_with_a_switch() -> None:
    plain = RunConfig(loss="bsl", backbone="xsimgcl", tau2=0.2)
    paper = PaperConfig(**plain.as_dict())
    assert paper.run_id == plain.run_id
    assert (paper.loss_spec, paper.backbone_spec) == (plain.loss_spec, plain.backbone_spec)
    released = dataclasses.replace(paper, as_released=True)
    assert released.loss_spec == RELEASED_LOSSES["bsl"]
    assert released.backbone_spec == RELEASED_BACKBONES["xsimgcl"]
    half = PaperConfig(loss="sl", backbone="xsimgcl", as_released=True)
    assert half.loss_spec == LOSSES["sl"], "of a pair the one that has another form takes it"


def test_an_option_that_is_not_taken_leaves_no_trace() -> None:
    """Records of before an option existed keep their run id."""
    assert not {*OPTIONS, *PAPERS} & SMALL.as_dict().keys()
    taken = PaperConfig(loss="bsl", tau2=0.2, as_released=True).as_dict()
    assert taken["tau2"] == 0.2 and taken["as_released"] is True and "alpha" not in taken


OTHERWISE: dict[str, Any] = {
    "tau": 0.3,
    "negatives": 8,
    "tau2": 0.3,
    "alpha": 0.3,
    "beta": 0.3,
    "form": "inside",
    "tau_weight": 0.3,
    "refresh": 2,
    "k": 60,
    "sampled_quantile": True,
    "gamma": 0.2,
    "margin": -0.3,
    "negative_weight": 3.0,
    "order": 1.3,
    "calibration": 0.0,
    "layers": 1,
    "contrast_weight": 0.9,
    "own_weight": 0.7,
    "norm_exponent": 0.3,
    "neighbor_exponent": 0.3,
    "as_released": True,
}


@pytest.mark.parametrize(
    "place", [*({"loss": name} for name in LOSSES), *({"backbone": name} for name in BACKBONES)]
)
def test_a_field_changes_the_run_unless_it_is_ignored(place: dict[str, str]) -> None:
    config = dataclasses.replace(SMALL, epochs=2, batch_size=4096, **place)
    if "refresh" not in config.ignored():  # or no quantile would be taken
        config = dataclasses.replace(config, refresh=1)
    before = run(config).record["validation_curve"]
    for name, value in OTHERWISE.items():
        try:
            after = run(dataclasses.replace(config, **{name: value})).record["validation_curve"]
        except TrainingError:
            # What the public code has in no other form is refused by the configuration itself.
            assert name in config.ignored() or name == "as_released"
        else:
            assert (before == after) == (name in config.ignored()), name


EDGES: dict[str, tuple[Any, ...]] = {
    "noise_ratio": (0, 0.0, 5e-324, 1, 1.0),
    "drop_marked": (False, True),
    "mark_per_user": (False, True),
    "tau2": (None, 5e-324, 1e300),
    "alpha": (None, 5e-324, 1),
    "beta": (None, 5e-324, 1),
    "form": (None, "inside"),
    "tau_weight": (None, 5e-324, 1e300),
    "refresh": (None, 1, 10**9),
    "k": (None, 1, 10**9),
    "sampled_quantile": (False, True),
    "gamma": (None, 5e-324, 1),
    "margin": (None, -1e300, 0, 1e300),
    "negative_weight": (None, 5e-324, 1e300),
    "order": (None, 1.0000001, 1e300),
    "calibration": (None, 0, 1),
    "optimizer": (None, "adam", "sparse-adam"),
    "layers": (None, 1, 1000),
    "contrast_weight": (None, 5e-324, 1e300),
    "own_weight": (None, 0, 1),
    "norm_exponent": (None, -2, 0, 2),
    "neighbor_exponent": (None, -2, 0, 2),
    "as_released": (False, True),
    "dataset_fingerprint": (None, "0" * 16),
}


def test_a_configuration_comes_back_from_its_record() -> None:
    assert EDGES.keys() == {*OPTIONS, *PAPERS}
    for name, values in EDGES.items():
        made = [PaperConfig(**{**OTHER[name], name: value}) for value in values]
        for config in made:
            written = json.loads(json.dumps(config.as_dict()))
            assert PaperConfig(**written) == config and records.run_id(written) == config.run_id
        assert len({c.run_id for c in made}) == len(set(made)), name


@pytest.mark.parametrize(
    "name", ["drop_marked", "mark_per_user", "sampled_quantile", "as_released"]
)
@pytest.mark.parametrize("value", [1, 0, "no", None, np.True_])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(TrainingError, match=f"{name} must be True or False, got "):
        PaperConfig(**{**OTHER[name], name: value})


def test_data_of_ones_own_is_part_of_the_run_id_and_registered_data_is_not() -> None:
    data = datasets.load()
    plain = RunConfig()
    assert plain.for_data(data) == plain
    one, two = (
        dataclasses.replace(data, name="mine.zip", train=train)
        for train in (data.train, data.known.union(data.test))
    )
    config = RunConfig("mine.zip")
    ids = {config.for_data(d).run_id for d in (one, two)}
    assert len(ids) == 2
    made = config.for_data(one)
    assert made.dataset_fingerprint == one.fingerprint[:16] and made.for_data(one) == made
    with pytest.raises(TrainingError, match=r"is of other data than mine\.zip holds"):
        made.for_data(two)

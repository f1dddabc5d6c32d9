"""The configuration of a run: everything that decides it, frozen."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from psl.dataset import SETTINGS, Dataset, stored_setting
from psl.errors import TrainingError
from psl.losses import LossSpec, get_loss
from psl.models.backbones import BackboneSpec, get_backbone
from psl.training.provenance import run_id

__all__ = ["OPTIONS", "PROTOCOLS", "SETTINGS", "RunConfig"]

PROTOCOLS, OPTIMIZERS = ("released", "clean"), ("adam", "sparse-adam")
MOST = 2**31 - 1  # what no size or count needs, and arithmetic with larger ones may not hold


def _field(kind: type, default: Any, *, option: bool = False, **limits: float) -> Any:
    """Declare a field and its range; an option stands in a record only where it is taken.

    ``limits`` are ``above``, ``at_least`` and ``at_most``.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "option": option, **limits})


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run; its canonical JSON's digest is the run id.

    Attributes
    ----------
    dataset : str
    setting : {"iid", "ood", "noise"}
    backbone : str
    loss : str
        Names as in the paper's tables.
    tau : float
        Temperature on the f = cos/2 scale, of the losses that have one.
    lr : float
        Adam's step size.
    weight_decay : float
        Adam's (coupled) L2 coefficient.
    seed : int
        Root of every random stream: validation split, initial values, order, negatives.
    protocol : {"released", "clean"}
        ``"released"`` does as the public code: at test only the positives trained on are masked,
        and in the setting ood the best epoch is chosen *on the test set*, there being no other.
        ``"clean"`` masks validation positives too and always selects on a part of the train set.
    epochs : int
        Passes over the training pairs, at most.
    batch_size : int
        Positives in a step.
    dim : int
        Size of an embedding.
    negatives : int
        Items drawn for each positive (a loss may fix its own number).  0 draws none: SL and PSL
        against the whole catalogue, the positive too, as (4.1) is printed.
    validate_every : int
        Epochs between validations; the best ``NDCG@20`` keeps its parameters, later ties win.
    patience : int
        Stop after this many validations without a new best; 0 never stops early.
    init_std : float
        Standard deviation of the initial embeddings (a loss may fix its own).
    noise_ratio : float, optional
        Probability of a false negative, for the setting noise (the paper's p).
    drop_marked : bool
        For the setting noise: the pairs marked as false negatives are no positives any more.
        They are still never drawn as uniform negatives, and masked like the positives.
    mark_per_user : bool
        For the setting noise: a tenth of each user's pairs is marked, and at least one, in place of
        a tenth of all pairs, which leaves many users without any.
    tau2 : float, optional
        BSL's temperature of the negatives.
    alpha : float, optional
        LLPAUC's part of the positives.
    beta : float, optional
        LLPAUC's part of the negatives.
    form : {"inside"}, optional
        The other form of PSL.
    tau_weight : float, optional
        Temperature of the weight in ``SL@K``, on the scale f = cos/2.
    refresh : int, optional
        Epochs from one quantile of ``SL@K`` to the next.
    k : int, optional
        Length of the list that a loss at K is for.
    gamma : float, optional
        SogCLR's weight of a batch in its moving averages.
    margin : float, optional
        Of CCL and DrRL, a cosine; of SimCE, a score.
    negative_weight : float, optional
        Weight of the negatives in CCL and DrRL.
    order : float, optional
        DrRL's order of the Rényi divergence.
    calibration : float, optional
        How far gBCE corrects for the sampling rate.
    optimizer : {"adam", "sparse-adam"}, optional
        Moves all rows, or those of a batch alone: :class:`psl.training.adam.SparseAdam`.
    layers : int, optional
        Of a graph backbone; the paper's value where it is not given.
    contrast_weight : float, optional
        Weight of the contrastive loss of XSimGCL or SimGCL; its paper's value if not given.
    own_weight : float, optional
        Weight of the free embedding in LightGCN++, and of a user's own in SimpleX.
    norm_exponent : float, optional
        LightGCN++'s alpha: a sum is divided by the node's own degree to this power.
    neighbor_exponent : float, optional
        LightGCN++'s beta: a neighbour is divided by its degree to this power.
    dataset_fingerprint : str, optional
        Of an archive of one's own, whose name does not say what is in it: the first 16 digits of
        the digest of its content.  :func:`psl.training.train` fills it in.
    """

    dataset: str = "synthetic"
    setting: str = "iid"
    backbone: str = "mf"
    loss: str = "psl-relu"
    tau: float = _field(float, 0.1, above=0)
    lr: float = _field(float, 0.01, above=0)
    weight_decay: float = _field(float, 0.0, at_least=0)
    seed: int = _field(int, 0, at_least=0, at_most=2**63 - 1)
    protocol: str = "released"
    epochs: int = _field(int, 200, at_least=1, at_most=MOST)
    batch_size: int = _field(int, 1024, at_least=1, at_most=MOST)
    negatives: int = _field(int, 1000, at_least=0, at_most=2**24)
    dim: int = _field(int, 64, at_least=1, at_most=2**16)
    validate_every: int = _field(int, 5, at_least=1, at_most=MOST)
    patience: int = _field(int, 0, at_least=0, at_most=MOST)
    init_std: float = _field(float, 0.1, above=0)
    noise_ratio: float | None = _field(float, None, at_least=0, at_most=1, option=True)
    drop_marked: bool = _field(bool, False, option=True)
    mark_per_user: bool = _field(bool, False, option=True)
    tau2: float | None = _field(float, None, above=0, option=True)
    alpha: float | None = _field(float, None, above=0, at_most=1, option=True)
    beta: float | None = _field(float, None, above=0, at_most=1, option=True)
    form: str | None = _field(str, None, option=True)
    tau_weight: float | None = _field(float, None, above=0, option=True)
    refresh: int | None = _field(int, None, at_least=1, at_most=MOST, option=True)
    k: int | None = _field(int, None, at_least=1, at_most=MOST, option=True)
    gamma: float | None = _field(float, None, above=0, at_most=1, option=True)
    margin: float | None = _field(float, None, option=True)
    negative_weight: float | None = _field(float, None, above=0, option=True)
    order: float | None = _field(float, None, above=1, option=True)
    calibration: float | None = _field(float, None, at_least=0, at_most=1, option=True)
    optimizer: str | None = _field(str, None, option=True)
    layers: int | None = _field(int, None, at_least=1, at_most=1000, option=True)
    contrast_weight: float | None = _field(float, None, above=0, option=True)
    own_weight: float | None = _field(float, None, at_least=0, at_most=1, option=True)
    norm_exponent: float | None = _field(float, None, at_least=-2, at_most=2, option=True)
    neighbor_exponent: float | None = _field(float, None, at_least=-2, at_most=2, option=True)
    dataset_fingerprint: str | None = _field(str, None, option=True)

    def __post_init__(self) -> None:
        """Refuse names that do not exist and numbers that make no sense."""
        fields = dataclasses.fields(self)
        for name in (f.name for f in fields if f.metadata.get("kind") is bool):
            if not isinstance(getattr(self, name), bool):  # 1 would be another run id
                raise TrainingError(f"{name} must be True or False, got {getattr(self, name)!r}")
        taken = {*self.loss_spec.options, *self.backbone_spec.options}
        for name in sorted(OPTIONS - taken - OF_ANY):
            if _is_taken(getattr(self, name)):
                raise TrainingError(f"{self.loss} on {self.backbone} has no option {name}")
        words = {"protocol": PROTOCOLS, "setting": SETTINGS, "optimizer": OPTIMIZERS}
        for name, known in words.items():
            value = getattr(self, name)
            if value not in known and (name != "optimizer" or value is not None):
                raise TrainingError(f"{name} must be one of {known}, got {value!r}")
        if (self.setting == "noise") != (self.noise_ratio is not None):
            raise TrainingError("the setting noise needs a noise ratio, and no other has one")
        for name in ("drop_marked", "mark_per_user"):
            if getattr(self, name) and self.setting != "noise":
                raise TrainingError(f"{name} is for the setting noise: no other marks a pair")
        if self.form not in (None, "inside"):
            raise TrainingError(f"form must be 'inside' or not given, got {self.form!r}")
        if self.optimizer == "adam":
            object.__setattr__(self, "optimizer", None)  # one training, one run id
        for field in (f for f in fields if f.metadata.get("kind") in (int, float)):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                # One number, one run id: 0 and 0.0, and NumPy's, become what the field declares.
                object.__setattr__(self, field.name, _within(field, value))

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as it stands in a record; options not taken stay out of it."""
        values = ((field, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {f.name: v for f, v in values if not f.metadata.get("option") or _is_taken(v)}

    @property
    def loss_spec(self) -> LossSpec:
        """The loss that is trained."""
        return get_loss(self.loss)

    @property
    def backbone_spec(self) -> BackboneSpec:
        """The backbone that is trained."""
        return get_backbone(self.backbone)

    @property
    def draws(self) -> int | None:
        """Items drawn for each positive; ``None``, which ``negatives=0`` says: all are compared."""
        return self.loss_spec.negatives or self.negatives or None

    def given(self, options: tuple[str, ...]) -> dict[str, Any]:
        """Return the options that are set; for the others a module has its own defaults."""
        return {k: getattr(self, k) for k in options if getattr(self, k) is not None}

    def build_loss(self) -> Any:
        """Return the module of the loss, with its temperature and the options that are set."""
        return self.loss_spec.build(self.tau, **self.given(self.loss_spec.options))

    @property
    def run_id(self) -> str:
        """Digest of the configuration."""
        return run_id(self.as_dict())

    def for_data(self, data: Dataset) -> Self:
        """Return the configuration with what names the data, if that is of one's own.

        Raises TrainingError if the data is not what the configuration names.
        """
        stored = stored_setting(self.setting)
        if (Path(data.name).name, data.setting) != (self.dataset, stored):
            raise TrainingError(
                f"the configuration names {self.dataset} ({stored}), "
                f"the data is {data.name} ({data.setting})"
            )
        found = data.fingerprint[:16] if data.is_own else None
        if self.dataset_fingerprint not in (None, found):
            raise TrainingError(
                f"the configuration is of other data than {data.name} holds: its fingerprint "
                f"begins {found}, not {self.dataset_fingerprint}"
            )
        return dataclasses.replace(self, dataset_fingerprint=found)


# Fields that stand in a record only where they are taken: records of before keep their run id.
OPTIONS = {f.name for f in dataclasses.fields(RunConfig) if f.metadata.get("option")}
OF_ANY = {"noise_ratio", "drop_marked", "mark_per_user", "dataset_fingerprint", "optimizer"}


def _is_taken(value: Any) -> bool:
    """Say whether an option is taken; 0.0 is a value like any other, though it equals False."""
    return value is not None and value is not False


def _within(field: dataclasses.Field[Any], value: Any) -> int | float:
    """Return the number as the kind that its field declares, if it is within the field's range."""
    limits, kind = field.metadata, field.metadata["kind"]
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    whole = number == value or value != value  # as a float NaN is one, out of every range
    if number is None or isinstance(value, (bool, str)) or not whole:
        what = "a whole number" if kind is int else "a number"
        raise TrainingError(f"{field.name} must be {what}, got {value!r}")
    above, least, most = (limits.get(name) for name in ("above", "at_least", "at_most"))
    for what, holds in (
        (f"above {above}" if above else "positive", above is None or above < number < math.inf),
        ("finite", -math.inf < number < math.inf),
        (f"at least {least}", least is None or number >= least),
        (f"at most {most}", most is None or number <= most),
    ):
        if not holds:
            raise TrainingError(f"{field.name} must be {what}, got {value}")
    return number

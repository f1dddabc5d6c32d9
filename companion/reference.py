"""The paper's printed numbers and tuned hyperparameters, read from the packaged tables."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

from psl.errors import RecordError

__all__ = ["TAUS", "borrowed", "printed_gains", "reported", "table", "tuned"]

TAUS = (0.005, 0.025, 0.05, 0.1, 0.25)  # the paper's search grid of the temperature


@cache
def _read(name: str) -> pd.DataFrame:
    path = files("companion.paper") / f"{name}.csv"
    if not path.is_file():
        raise RecordError(f"the paper's table {name!r} is not packaged")
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file)


def table(name: str) -> pd.DataFrame:
    """Return a packaged table by file name without suffix, e.g. ``"table1_iid"``."""
    return _read(name).copy()


def reported(name: str, **where: str) -> float:
    """Return the one value of a table in the row with these entries.

    Raises
    ------
    RecordError
        If no row, or more than one, has them.
    """
    rows = _read(name)
    for column, entry in where.items():
        rows = rows[rows[column] == entry]
    if len(rows) != 1:
        raise RecordError(f"{name}: {len(rows)} rows with {where}, expected one")
    return float(rows["value"].iloc[0])


@cache
def printed_gains(
    setting: str, backbone: str, metric: str, better: str, worse: str = "sl"
) -> pd.DataFrame:
    """Return what a loss gains on another in print, in parts of the other's value.

    Returns
    -------
    DataFrame
        ``dataset``, ``noise_ratio`` (0 outside the setting noise) and ``gain``; no row where the
        loss is not in the table or figure.  Amazon-Health is the follow-up's.  It is kept: not to
        be changed.
    """
    name = {"iid": "table1_iid", "ood": "table2_ood", "noise": "figure2_and_c1_c4_noise"}[setting]
    rows = _read(name)
    if setting == "iid":  # the follow-up prints Amazon-Health
        rows = pd.concat([rows, _read("followup_table2_slatk").query("dataset == 'amazon-health'")])
    rows = rows[rows["metric"] == metric]
    if "backbone" in rows:
        rows = rows[rows["backbone"] == backbone]
    place = ["dataset", "noise_ratio"]
    by_loss = rows.assign(noise_ratio=rows.get("noise_ratio", 0.0)).pivot_table(
        index=place, columns="loss", values="value"
    )
    both = by_loss.reindex(columns=[better, worse])
    gain = both[better] / both[worse] - 1
    return gain.dropna().rename("gain").reset_index()


def tuned(dataset: str, setting: str, backbone: str, loss: str) -> dict[str, float]:
    """Return the tuned hyperparameters of Tables B.2, B.3 (or the follow-up's, for health).

    Keys are those of a run's configuration: ``lr``, ``weight_decay`` and whichever of ``tau``,
    ``tau2``, ``alpha``, ``beta``, ``tau_weight``, ``refresh`` the loss has; ``contrast_weight``
    for XSimGCL (Appendix B.4).
    The setting noise takes the values of iid, as the paper does.  Where no row is printed another
    one's stands in, and :func:`borrowed` says which: PSL-softplus takes that of ``psl-relu``
    everywhere, and on Amazon-Health every ``psl-*`` does, the follow-up having one row for PSL.
    There is no form here: the paper prints none for the inside form of PSL, which takes those of
    the outside form.

    Raises
    ------
    RecordError
        If the tables have no such row.
    """
    row = _tuned_row(dataset, setting, backbone, loss)
    keys = ("lr", "weight_decay", "tau", "tau2", "alpha", "beta")
    out = {k: float(row[k]) for k in keys if pd.notna(row[k])}
    if pd.notna(row.get("tau_beta")):  # printed on the scale of the whole cosine
        out |= {"tau_weight": row["tau_beta"] / 2, "refresh": int(row["epoch_quantile"])}
    if backbone == "xsimgcl":
        out["contrast_weight"] = 0.05 if dataset == "amazon-electronic" else 0.2
    return out


def borrowed(dataset: str, setting: str, backbone: str, loss: str, form: str | None = None) -> str:
    """Say whose hyperparameters :func:`tuned` gives a cell, if not its own.

    Parameters
    ----------
    dataset, setting, backbone, loss : str
        As :func:`tuned` takes them.
    form : {"outside", "inside"}, optional
        Of PSL; not given is outside.

    Returns
    -------
    str
        Empty if they are printed for this cell, else what follows the word hyperparameters:
        ``"of psl-relu"``, ``"of the outside form"`` or ``"of psl-relu in the outside form"``.

    Raises
    ------
    RecordError
        As :func:`tuned`.
    """
    row = _tuned_row(dataset, setting, backbone, loss)
    inside = form == "inside"
    if row["loss"] != loss:
        return f"of {row['loss']}" + (" in the outside form" if inside else "")
    return "of the outside form" if inside else ""


@cache
def _tuned_row(dataset: str, setting: str, backbone: str, loss: str) -> pd.Series:
    """Return the row of the printed tables that a cell takes; its ``loss`` may be another one."""
    name = {
        "iid": "table_b2_hyperparameters_iid",
        "noise": "table_b2_hyperparameters_iid",
        "ood": "table_b3_hyperparameters_ood",
    }.get(setting)
    if name is None:
        raise RecordError(f"no tuned hyperparameters for the setting {setting!r}")
    if dataset == "amazon-health" and setting != "ood":
        name = "followup_table11_hyperparameters_health"
    names = {"psl-softplus": "psl-relu"}
    if dataset == "amazon-health" and loss.startswith("psl-"):
        names[loss] = "psl-relu"
    rows = _read(name)
    wanted = {"dataset": dataset, "backbone": backbone, "loss": names.get(loss, loss)}
    for column, entry in wanted.items():
        rows = rows[rows[column] == entry]
    if len(rows) != 1:
        raise RecordError(
            f"no tuned hyperparameters for {dataset} ({setting}), {backbone}, {loss}; "
            "leave out --tuned, and give --tau, --lr and --weight-decay"
        )
    return rows.iloc[0]

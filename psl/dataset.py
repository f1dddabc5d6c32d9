"""A dataset in memory.  Files, archives and a generated one: ``companion.datasets``."""

import hashlib
from dataclasses import dataclass

from psl.interactions import Interactions

__all__ = ["SETTINGS", "Dataset", "stored_setting"]

SETTINGS = ("iid", "ood", "noise")


@dataclass(frozen=True, eq=False)
class Dataset:
    """What is trained and tested on.

    ``liked`` is known for the synthetic dataset only: the user's true preferences, seen or not.
    ``middle`` is what a split by time leaves between train and test: neither trained on nor tested,
    but known; it is masked by the clean protocol and refitted with.  ``notes`` says what of a file
    counts once, or not at all.
    """

    name: str
    setting: str
    train: Interactions
    test: Interactions
    liked: Interactions | None = None
    middle: Interactions | None = None
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> Interactions:
        """What is known before the test: train, and the middle if there is one."""
        return self.train if self.middle is None else self.train.union(self.middle)

    @property
    def is_own(self) -> bool:
        """Whether it is an archive of one's own: its name does not say what is in it."""
        return self.name.lower().endswith(".zip")

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all parts, the same wherever the data came from."""
        parts = (part for part in (self.train, self.test, self.middle) if part is not None)
        return hashlib.sha256("".join(part.fingerprint() for part in parts).encode()).hexdigest()


def stored_setting(setting: str) -> str:
    """Return the setting whose data a run takes: noise has that of iid, with other negatives."""
    return "iid" if setting == "noise" else setting

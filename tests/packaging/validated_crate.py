"""Validate a folder's RO-Crate against RO-Crate 1.1 and Process Run Crate 0.5, without a network.

    python tests/packaging/validated_crate.py FOLDER

Needs `roc-validator` and `rocrate`, which `check_crate.sh` installs apart: the validator wants an
older Rich than the command `psl` has.  The terms come from the file that `rocrate` brings (of
RO-Crate 1.3, which keeps those of 1.1).
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import ClassVar

from rocrate_validator import models, services
from rocrate_validator.utils.http import HttpRequester

TERMS = json.loads((files("rocrate") / "data" / "ro-crate.jsonld").read_text("utf-8"))


class Answer:
    """What the address of the terms would answer."""

    status_code = 200
    headers: ClassVar = {"Content-Type": "application/ld+json"}

    @staticmethod
    def json() -> dict:
        return TERMS


HttpRequester.get = lambda self, address, **options: Answer()


def faults(folder: str, profile: str) -> list[str]:
    """Return what a profile requires and the crate has not."""
    required = models.Severity.REQUIRED
    settings = services.ValidationSettings(
        rocrate_uri=folder, profile_identifier=profile, requirement_severity=required
    )
    found = services.validate(settings).get_issues()
    return [f"{profile}: {issue.message} ({issue.violatingEntity})" for issue in found]


profiles = ("ro-crate-1.1", "process-run-crate-0.5")
wrong = [fault for profile in profiles for fault in faults(sys.argv[1], profile)]
print("\n".join(wrong) or "the RO-Crate is valid")
sys.exit(bool(wrong))

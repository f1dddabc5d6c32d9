"""The data behind the moving figure."""

from __future__ import annotations

import json
import math
import re

import pytest

from companion.figures import COLOURS, LABELS
from companion.figures.explorer import STOPS, effective_share, weight_explorer


def test_effective_share_against_integrals() -> None:
    """Over a fine grid the share tends to (int w)^2 / (2 int w^2); both are elementary for exp."""
    for tau in (0.1, 0.5):
        first = tau * (math.exp(1 / tau) - math.exp(-1 / tau))
        second = tau / 2 * (math.exp(2 / tau) - math.exp(-2 / tau))
        assert effective_share("exp", tau) == pytest.approx(first**2 / (2 * second), rel=0.05)
    # At tau = 1 relu's weight is constant, and softplus weighs as exp does.
    assert effective_share("relu", 1.0) == pytest.approx(1)
    assert effective_share("softplus", 1.0) == pytest.approx(effective_share("exp", 1.0))


def test_the_page_holds_the_modules_curves_and_nothing_foreign() -> None:
    html = weight_explorer({"sl": "exp", "psl-relu": "relu"}, LABELS, COLOURS).html
    assert "http" not in html and "import" not in html
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found.group(1))
    assert data["taus"] == list(STOPS) and data["d"][0] == -0.999 and data["d"][-1] == 1
    relu = data["curves"]["psl-relu"]
    for d, log in zip(data["d"], relu["log"], strict=True):
        assert log == pytest.approx(math.log1p(d), abs=1e-3 if d < -0.99 else 1e-4)
    assert relu["colour"] == COLOURS["psl-relu"]
    assert html == weight_explorer({"sl": "exp", "psl-relu": "relu"}, LABELS, COLOURS).html

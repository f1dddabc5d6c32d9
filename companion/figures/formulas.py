"""Formulas in the plain text of a statement, set as formulas: no script, no library."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

__all__ = ["typeset"]

_GREEK = {"sigma": "σ", "tau": "τ", "phi": "φ"}
_SIGNS = (  # on the text
    (r"\b(sigma|tau|phi)(?![a-z])", lambda found: _GREEK[found[1]]),
    (r"(?<=σ)'", "\N{PRIME}"),
    (r"(?<=users) x (?=items)", " \N{MULTIPLICATION SIGN} "),
    (r"<=", "≤"),
    (r">=", "≥"),
    (r"(?<![\w)\]])-(?=\d|log\b)", "\N{MINUS SIGN}"),
    (r"(?<=[\w)]) - (?=\d)", " \N{MINUS SIGN} "),
)
_TAGS = (  # on the text without markup of its own
    (r"\^\(([^()]+)\)", r"<sup>\1</sup>"),
    (r"\blog2\b", "log<sub>2</sub>"),
    (r"(?<=[σ\w])_(\w+)", r"<sub>\1</sub>"),
    (r"(?<![\w&#@-])([dxNIP])(?![\w'-])", r"<i>\1</i>"),
)


def typeset(text: str) -> Markup:
    """Return a statement with signs, indices and powers: ``sigma(d)^(1/tau)`` with a raised 1/τ."""
    for pattern, sign in _SIGNS:
        text = re.sub(pattern, sign, text)
    text = str(escape(text))
    for pattern, tag in _TAGS:
        text = re.sub(pattern, tag, text)
    return Markup(text)

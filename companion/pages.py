"""HTML from the templates beside this file: values are escaped, and a missing one is an error."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render"]


def _source(name: str) -> Markup:
    """Return a style or a script as it is: its braces are its own."""
    return Markup((files("companion") / "templates" / name).read_text(encoding="utf-8"))


_ENVIRONMENT = Environment(
    loader=PackageLoader("companion"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.globals["source"] = _source
# As wide as the plus sign, and read as what it is.
_ENVIRONMENT.filters["minus"] = lambda text: text.replace("-", "\N{MINUS SIGN}")
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":")}


def render(template: str, **values: Any) -> str:
    """Return what a template gives: the same values, the same bytes."""
    return _ENVIRONMENT.get_template(template).render(values)

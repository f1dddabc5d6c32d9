"""Options made from data: those of a configuration are its fields, with their range and words."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, get_type_hints

import typer

from companion.experiments.config import FROM_DATA, switch
from psl.training import RunConfig

__all__ = ["takes", "takes_fields"]

Command = Callable[..., None]
HUGE = 2**31 - 1  # a limit of arithmetic, of no use to a reader


def takes(options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Give a command options, by name and annotation, before its own.

    The command takes them as keyword arguments; one that was not given is ``None``.
    """

    def decorate(command: Command) -> Command:
        only = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, only, default=None, annotation=annotation)
            for name, annotation in options.items()
        ]
        for own in inspect.signature(command, eval_str=True).parameters.values():
            if own.kind is not inspect.Parameter.VAR_KEYWORD:
                parameters.append(own.replace(kind=only))
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def takes_fields(
    config: type[RunConfig], words: Mapping[str, str], *, without: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Give a command an option for each field of a configuration, as :func:`takes` does.

    Parameters
    ----------
    config : type
        Its docstring says what each field is (*Attributes*, NumPy style).
    words : mapping of str to str
        What the command line says in place of the docstring, by field.
    without : collection of str
        Fields that the command takes otherwise, or not at all.
    """
    said, hints = {**_documented(config), **words}, get_type_hints(config)
    return takes(
        {
            field.name: Annotated[
                hints[field.name] | None, _option(field, said.get(field.name, ""))
            ]
            for field in dataclasses.fields(config)
            if field.name not in {*FROM_DATA, *without}
        }
    )


def _option(field: dataclasses.Field[Any], said: str) -> Any:
    unsaid = field.default is None or field.default is False
    usual = False if unsaid else str(field.default)
    names = ["/".join(reversed(switch(field.name)))] if field.default is False else []
    text = f"{said} {_range(field.metadata)}".rstrip()
    return typer.Option(*names, help=text, show_default=usual)


def _range(limits: Mapping[str, Any]) -> str:
    above, least, most = (limits.get(k) for k in ("above", "at_least", "at_most"))
    most = most if most is not None and most < HUGE else None
    parts = [f"above {above}"] if above is not None else []
    parts += [f"at least {least}"] if least is not None else []
    parts += [f"at most {most}"] if most is not None else []
    return f"({', '.join(parts)})" if parts else ""


def _documented(config: type) -> dict[str, str]:
    """Return what the docstrings of a class and of its bases say of each attribute."""
    out: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        _, _, text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes\n----------\n")
        for name, said in re.findall(r"^(\w+) : .*\n((?: {4}.*\n?)*)", text, flags=re.MULTILINE):
            out[name] = " ".join(re.sub(r"[`*]|:\w+:", "", said).split())
    return out

"""The command ``psl``, and ``python -m companion``: it says what is missing where it cannot run."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; without what the extra ``companion`` brings, one line and exit status 2."""
    try:
        from companion.cli import main as command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("psl", "companion"):
            raise  # a fault of our own
        print(
            f"psl: the command needs the extra companion (there is no {error.name}): "
            "pip install 'psl[companion]'",
            file=sys.stderr,
        )
        sys.exit(2)
    command()


if __name__ == "__main__":
    main()

"""``python -m psl``: the command, where the script is not on the path."""

from psl.cli import main

if __name__ == "__main__":
    main()

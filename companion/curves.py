"""The curve of a training, an epoch at a time: to a CSV file, and to TensorBoard."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

from companion.locks import write
from psl.errors import DataError, PSLError
from psl.training import Progress

__all__ = ["COLUMNS", "CurveFile", "TensorBoard"]

COLUMNS = ("run_id", "epoch", "loss", "ndcg@20")
SECONDS = 1.0  # between two writes of the whole file


class CurveFile:
    """A row for each epoch: the mean loss, and the validation's ``ndcg@20`` where it was taken.

    Its method ``show`` is a ``progress`` of :func:`psl.training.train`.  The file is written as a
    whole, so a reader never sees a part of it.  A run that goes on keeps the rows before its first
    epoch.

    Parameters
    ----------
    path : Path
        A file of the same run is gone on with.
    run_id : str
    replace : bool
        Whether any other file is replaced.

    Raises
    ------
    DataError
        If the file is there, and not of this run.
    """

    def __init__(self, path: Path, run_id: str, *, replace: bool = False) -> None:
        self.path, self.run_id = path, run_id
        self.rows: dict[int, tuple[str, str]] = {}  # by epoch: loss and validation, as written
        self.begun, self.written = False, 0.0
        if path.is_file():
            rows = _rows_of(path, run_id)
            if rows is None and not replace:
                raise DataError(
                    f"{path} is there and no curve of this run; name another file, or --replace it"
                )
            self.rows = rows or {}

    def show(self, p: Progress) -> None:
        """Take an epoch in."""
        if p.loss is None:
            return
        if not self.begun:  # what is trained again since the last state is told again
            self.rows = {epoch: row for epoch, row in self.rows.items() if epoch < p.epoch}
            self.begun = True
        validation = "" if p.validation is None else repr(float(p.validation))
        self.rows[p.epoch] = repr(float(p.loss)), validation
        if time.monotonic() - self.written > SECONDS:
            self.close()

    def close(self) -> None:
        """Write what was told."""
        if not self.begun:
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows((self.run_id, epoch, *row) for epoch, row in self.rows.items())
        write(self.path, text.getvalue().encode())
        self.written = time.monotonic()


class TensorBoard:
    """The same numbers as scalars ``loss`` and ``validation/ndcg@20``, in a folder of the run.

    Parameters
    ----------
    folder : Path
        What ``tensorboard --logdir`` is given; the run's folder in it is called by the run id.
    run_id : str

    Raises
    ------
    PSLError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            words = "--tensorboard needs TensorBoard: pip install 'psl[tensorboard]'"
            raise PSLError(words) from error
        self._open: Any = SummaryWriter
        self._writer: Any = None
        self.folder = folder / run_id

    def show(self, p: Progress) -> None:
        """Take an epoch in."""
        if p.loss is None:
            return
        if self._writer is None:  # what an earlier attempt told of this epoch on is dropped
            self._writer = self._open(str(self.folder), purge_step=p.epoch)
        self._writer.add_scalar("loss", p.loss, p.epoch)
        if p.validation is not None:
            self._writer.add_scalar("validation/ndcg@20", p.validation, p.epoch)

    def close(self) -> None:
        """Write what was told."""
        if self._writer is not None:
            self._writer.close()


def _rows_of(path: Path, run_id: str) -> dict[int, tuple[str, str]] | None:
    """Return the rows of a curve of this run; ``None`` if the file is another."""
    try:
        head, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if tuple(head) != COLUMNS or any(row[0] != run_id for row in rows):
            return None
        return {int(epoch): (loss, validation) for _, epoch, loss, validation in rows}
    except (ValueError, IndexError, csv.Error):
        return None

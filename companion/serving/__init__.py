"""An exported file in use: whom it knows, what it recommends, how good that is.

In reading order: ``exported``, the file and the pairs it is asked about; ``lists``, what is
recommended; ``fold_in``, for somebody who was not in training; ``files``, all lists in a file;
``measures``, all metrics of the lists, user by user.
"""

from companion.serving.exported import Exported, Pairs, read_exported
from companion.serving.files import LIST_COLUMNS, check_output, write_lists
from companion.serving.fold_in import fold_in
from companion.serving.lists import Lists, Score, products, ranked, similar
from companion.serving.measures import METRICS, Measured, measure, measure_scores

__all__ = [
    "LIST_COLUMNS",
    "METRICS",
    "Exported",
    "Lists",
    "Measured",
    "Pairs",
    "Score",
    "check_output",
    "fold_in",
    "measure",
    "measure_scores",
    "products",
    "ranked",
    "read_exported",
    "similar",
    "write_lists",
]

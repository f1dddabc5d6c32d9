"""Training dynamics: what a loss does to the model it trains, epoch by epoch.

``weights.py`` measures one model, ``trace.py`` trains a cell and measures it on the way, and
``store.py`` keeps what was measured, one file a run, in ``results/dynamics/``.
"""

from companion.dynamics.store import FOLDER, Point, Trace, read, save
from companion.dynamics.table import by_popularity, own_shares, points, shares
from companion.dynamics.trace import EPOCHS, trace
from companion.dynamics.weights import measure

__all__ = [
    "EPOCHS",
    "FOLDER",
    "Point",
    "Trace",
    "by_popularity",
    "measure",
    "own_shares",
    "points",
    "read",
    "save",
    "shares",
    "trace",
]

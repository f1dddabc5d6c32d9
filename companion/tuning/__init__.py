"""A search for a configuration on data of one's own, with a stated budget, on validation alone.

In reading order: ``space``, what is searched; ``trial``, one training that never sees the test
part; ``study``, trials one after another in a file that a second call goes on with; ``floors``,
baselines on the same validation part.
"""

from companion.tuning.floors import tried_floors
from companion.tuning.space import OWN, RANGES, Search
from companion.tuning.study import Budget, Study, Tried
from companion.tuning.trial import validate

__all__ = [
    "OWN",
    "RANGES",
    "Budget",
    "Search",
    "Study",
    "Tried",
    "tried_floors",
    "validate",
]

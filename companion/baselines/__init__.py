"""What a trained model has to beat: most popular, item-kNN, EASE, iALS.

In reading order: ``linear``, the first three, fitted in closed form; ``ials``, of the package
implicit; ``floors``, each by its name, with its settings chosen on validation pairs.
"""

from companion.baselines.floors import FLOORS, Floor, FloorTrial, fit_floor, try_floor

__all__ = ["FLOORS", "Floor", "FloorTrial", "fit_floor", "try_floor"]

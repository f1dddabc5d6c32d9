"""The checks that decide claims, a file for each kind: subject in, verdict out."""

from companion.claims.checks import (  # noqa: F401  # register
    dynamics,
    orderings,
    pairwise,
    printed,
    robustness,
    sentences,
    surrogates,
)

"""Where a claim is decided: each check looks at a subject and returns a verdict."""

from companion.claims.checks import (  # noqa: F401  # register
    dynamics,
    orderings,
    pairwise,
    printed,
    robustness,
    sentences,
    surrogates,
)

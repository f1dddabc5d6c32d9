"""Recommenders, in the table of ``backbones``.

``matrix_factorization``; ``lightgcn`` and ``simplex`` on the ``graph``; ``simgcl``, which adds a
``contrast`` of layers.
"""

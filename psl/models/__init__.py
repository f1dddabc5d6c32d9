"""Recommenders, in the table of ``backbones``.

They are in ``matrix_factorization`` and ``graph_models``, on the ``graph`` and the ``contrast`` of
layers.
"""

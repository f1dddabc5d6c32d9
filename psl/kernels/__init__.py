"""Compiled kernels, the choice between them and torch (``dispatch``), and matrix ``products``.

``cpu`` (numba) and ``cuda`` (Triton) have the same files: ``sampled``, the losses of sampled items;
``catalogue``, those against all, and of samples of a small catalogue; ``rows``, ``negatives``,
``graph``, ``adam``, ``maths``; ``cpu`` also ``best_items``, ``buckets`` and ``compiling``.
"""

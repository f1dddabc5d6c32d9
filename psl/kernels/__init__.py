"""Compiled kernels, and the choice between them and torch: ``dispatch``.

``cpu`` (numba) and ``cuda`` (Triton) have the same files: ``sampled``, the losses of sampled items;
``catalogue``, those against all; ``rows``, ``negatives``, ``graph``, ``adam``, ``maths``.  Besides
there are ``best_items``, ``buckets`` and ``compiling`` on a CPU, and ``products`` of matrices.
"""

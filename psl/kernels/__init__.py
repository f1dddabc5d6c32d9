"""Compiled kernels, and the choice between them and torch: ``dispatch``.

``cpu`` (numba) and ``cuda`` (Triton) have the same files: ``sampled``, the losses of sampled items;
``catalogue``, those against all; ``rows``, ``negatives``, ``graph``, ``maths``.  Besides there are
``buckets`` and ``compiling`` on a CPU, ``adam`` on a GPU, and ``products`` of matrices.
"""

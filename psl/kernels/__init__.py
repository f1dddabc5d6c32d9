"""Compiled kernels for a CPU (numba) and a GPU (Triton), and the choice between them and torch."""

"""The companion of the PSL paper: its numbers, the grid of runs, the ledger of claims, the figures.

Everything here is about one paper and stands on :mod:`psl`, which knows nothing of it.
"""

"""Recommenders: ``backbones`` on ``graph`` (propagation) and ``contrast`` (of two layers)."""

"""Scores of three observed items, and of four sampled ones beside each."""

from __future__ import annotations

import torch

P = torch.zeros(3)
N = torch.zeros(3, 4)

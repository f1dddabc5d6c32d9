"""Scores of sampled items, :func:`psl.pairwise_softmax_loss` of them, and the gradients of both.

One thread owns a run of the batch's rows.  A row's scores, their logarithms and its sum stay in the
first-level cache; the gradient of the items is taken in a second visit, see :mod:`.buckets`.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psl.kernels.cpu.buckets import bucket_bits, pair_workspace, sort
from psl.kernels.cpu.compiling import SPARE, over_threads, raise_if_outside
from psl.kernels.cpu.maths import ACTIVATIONS, HUGE, exp, f4, helper, i4, log_sigma_and_slope, u8


@helper
def inside(columns, b, num_items):
    """Say whether every id of row ``b`` is one of the table's."""
    outside = False
    for j in range(columns.shape[1]):
        outside |= columns[b, j] < 0 or columns[b, j] >= num_items
    return not outside


@helper
def _products(u, items, ids, count, out, dim):
    """Take inner products, four items at a time; ``ids`` and ``out`` have room for more."""
    for j in range(count, count + 3):
        ids[j] = ids[count - 1]
    for j in range(0, count, 4):
        a0, a1, a2, a3 = u8(ids[j]), u8(ids[j + 1]), u8(ids[j + 2]), u8(ids[j + 3])
        x0, x1, x2, x3 = f4(0), f4(0), f4(0), f4(0)
        for k in range(dim):
            x0 += u[k] * items[a0, k]
            x1 += u[k] * items[a1, k]
            x2 += u[k] * items[a2, k]
            x3 += u[k] * items[a3, k]
        out[j], out[j + 1], out[j + 2], out[j + 3] = x0, x1, x2, x3


@helper
def _weighted(weight, items, ids, count, acc, dim):
    """Set ``acc`` to the weighted sum of items, eight at a time."""
    for k in range(dim):
        acc[k] = f4(0)
    for j in range(0, count - 7, 8):
        a0, a1, a2, a3 = u8(ids[j]), u8(ids[j + 1]), u8(ids[j + 2]), u8(ids[j + 3])
        a4, a5, a6, a7 = u8(ids[j + 4]), u8(ids[j + 5]), u8(ids[j + 6]), u8(ids[j + 7])
        w0, w1, w2, w3 = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
        w4, w5, w6, w7 = weight[j + 4], weight[j + 5], weight[j + 6], weight[j + 7]
        for k in range(dim):
            acc[k] += (
                w0 * items[a0, k]
                + w1 * items[a1, k]
                + w2 * items[a2, k]
                + w3 * items[a3, k]
                + w4 * items[a4, k]
                + w5 * items[a5, k]
                + w6 * items[a6, k]
                + w7 * items[a7, k]
            )
    for j in range(count - count % 8, count):
        for k in range(dim):
            acc[k] += weight[j] * items[u8(ids[j]), k]


@helper
def _largest(x, count):
    """Return the maximum, sixteen lanes at a time; what is not a number is passed over."""
    lanes = np.empty(16, f4)
    lanes[:] = f4(-np.inf)
    for j in range(0, count - 15, 16):
        for q in range(16):
            lanes[q] = max(lanes[q], x[j + q])
    for j in range(count - count % 16, count):
        lanes[0] = max(lanes[0], x[j])
    top = f4(-np.inf)
    for q in range(16):
        top = max(top, lanes[q])
    return top


@cache
def _loss(name: str, dim: int) -> Any:
    """Compile value, users' gradient and the weights of the pairs; a known ``dim`` unrolls."""
    activation = ACTIVATIONS.index(name)

    @over_threads
    def share(
        start, end, users, items, positive, negative, shift, scale,
        ids, first, weight, pos_weight, grad_users, value, bad_id,
    ):  # fmt: skip
        (batch, count), num_items = negative.shape, items.shape[0]
        at, row_ids = np.empty(first.shape[1] + SPARE, i4), np.empty(count + SPARE, i4)
        score, w = np.empty(count + SPARE, f4), np.empty(count + SPARE, f4)
        u, acc = np.empty(dim + SPARE, f4), np.empty(dim + SPARE, f4)
        for b in range(start, end):
            pos_id = positive[b]
            if pos_id < 0 or pos_id >= num_items or not inside(negative, b, num_items):
                bad_id[0] = 1
                continue
            pos_score = f4(0)
            for k in range(dim):
                u[k] = users[b, k]
                pos_score += u[k] * items[u8(pos_id), k]
            sort(negative, b, shift, at, row_ids, first)
            _products(u, items, row_ids, count, score, dim)
            # log sigma is increasing
            largest = _largest(score, count)
            top = log_sigma_and_slope(activation, largest - pos_score)[0] * scale
            total, grad_sum, score_sum = f4(0), f4(0), pos_score
            for j in range(count):
                score_sum += score[j]
                log_sigma, slope = log_sigma_and_slope(activation, score[j] - pos_score)
                e = exp(log_sigma * scale - top)
                total += e
                w[j] = e * slope
                grad_sum += w[j]
            # A score that is not a number must not hide behind a maximum that ignores it.
            value[b] = top + f4(math.log(total)) if abs(score_sum) < HUGE else f4(np.nan)
            if len(grad_users) == 0:  # only the value is asked for
                continue
            norm = scale / (total * f4(batch))
            for j in range(count):
                w[j] *= norm
                weight[b, j] = w[j]
                ids[b, j] = row_ids[j]
            pos_weight[b] = -grad_sum * norm
            _weighted(w, items, row_ids, count, acc, dim)
            for k in range(dim):
                grad_users[b, k] = acc[k] + pos_weight[b] * items[u8(pos_id), k]

    return share


@cache
def _scores(dim: int) -> Any:
    @over_threads
    def share(start, end, users, items, columns, out, bad_id):
        count = columns.shape[1]
        row_ids, score = np.empty(count + SPARE, i4), np.empty(count + SPARE, f4)
        u = np.empty(dim + SPARE, f4)
        for b in range(start, end):
            if not inside(columns, b, items.shape[0]):
                bad_id[0] = 1
                continue
            for k in range(dim):
                u[k] = users[b, k]
            for j in range(count):
                row_ids[j] = i4(columns[b, j])
            _products(u, items, row_ids, count, score, dim)
            for j in range(count):
                out[b, j] = score[j]

    return share


@cache
def _gather(dim: int) -> Any:
    """Compile the users' gradient, with ids and weights sorted by bucket for the items' own."""

    @over_threads
    def share(start, end, items, columns, given, shift, ids, first, weight, grad_users):
        count = columns.shape[1]
        at, acc = np.empty(first.shape[1] + SPARE, i4), np.empty(dim + SPARE, f4)
        for b in range(start, end):
            sort(columns, b, shift, at, ids[b], first)
            # Once more in the same order: each weight goes where its id went.
            for c in range(first.shape[1]):
                at[c] = first[b, c]
            for j in range(count):
                bucket = u8(columns[b, j] >> shift)
                weight[b, u8(at[bucket])] = given[b, j]
                at[bucket] += i4(1)
            _weighted(weight[b], items, ids[b], count, acc, dim)
            for k in range(dim):
                grad_users[b, k] = acc[k]

    return share


@cache
def _item_gradient(dim: int) -> Any:
    """Compile the items' gradient: each thread takes whole buckets, and all rows of the batch."""

    @over_threads
    def share(start, end, users, positive, pos_weight, ids, first, weight, shift, grad_items):
        u = np.empty(dim, f4)
        for c in range(start, end):
            for i in range(c << shift, min((c + 1) << shift, grad_items.shape[0])):
                for k in range(dim):
                    grad_items[i, k] = f4(0)
            for b in range(users.shape[0]):
                for k in range(dim):
                    u[k] = users[b, k]
                for j in range(first[b, c], first[b, c + 1]):
                    w, item = weight[b, u8(j)], u8(ids[b, u8(j)])
                    for k in range(dim):
                        grad_items[item, k] += w * u[k]
                if positive.shape[0] > 0 and positive[b] >> shift == c:
                    for k in range(dim):
                        grad_items[u8(positive[b]), k] += pos_weight[b] * u[k]

    return share


def sampled_softmax(
    users: Tensor,
    items: Tensor,
    positive: Tensor,
    negative: Tensor,
    tau: float,
    activation: str,
    wanted: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row (B,) and the gradients of its mean, (B, d) and (I, d).

    ``negative`` (B, N) are the sampled items, each visited.  The gradients are empty if they are
    not ``wanted``.  Raises IndexError for an item id outside the table.
    """
    shift, (batch, count) = bucket_bits(items), negative.shape
    ids, weight, first = pair_workspace(batch, count, len(items), shift)
    pos_weight, bad_id = np.empty(batch, f4), np.zeros(1, i4)
    value, grad_users = users.new_empty(batch), torch.empty_like(users if wanted else users[:0])
    u, p = users.numpy(), positive.numpy()
    _loss(activation, users.shape[1])(
        batch, u, items.numpy(), p, negative.numpy(), shift, f4(1 / tau),
        ids, first, weight, pos_weight, grad_users.numpy(), value.numpy(), bad_id,
    )  # fmt: skip
    raise_if_outside(bad_id, items)
    grad_items = torch.empty_like(items if wanted else items[:0])
    if wanted:
        pairs = (p, pos_weight, ids, first, weight)
        kernel = _item_gradient(users.shape[1])
        kernel(first.shape[1] - 1, u, *pairs, shift, grad_items.numpy())
    return value, grad_users, grad_items


def sampled_scores(users: Tensor, items: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of each row with its own items, shape (B, M).

    Raises IndexError for an item id outside the table.
    """
    out, bad_id = users.new_empty(columns.shape), np.zeros(1, i4)
    inputs = users.numpy(), items.numpy(), columns.numpy()
    _scores(users.shape[1])(len(users), *inputs, out.numpy(), bad_id)
    raise_if_outside(bad_id, items)
    return out


def sampled_scores_backward(
    users: Tensor, items: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``(weight * scores).sum()`` in users (B, d) and items (I, d)."""
    shift, (batch, count) = bucket_bits(items), columns.shape
    ids, sorted_weight, first = pair_workspace(batch, count, len(items), shift)
    grad_users, grad_items = torch.empty_like(users), torch.empty_like(items)
    _gather(users.shape[1])(
        batch, items.numpy(), columns.numpy(), weight.numpy(), shift,
        ids, first, sorted_weight, grad_users.numpy(),
    )  # fmt: skip
    no_positive = np.empty(0, np.int64), np.empty(0, f4)
    pairs = (*no_positive, ids, first, sorted_weight)
    kernel = _item_gradient(users.shape[1])
    kernel(first.shape[1] - 1, users.numpy(), *pairs, shift, grad_items.numpy())
    return grad_users, grad_items

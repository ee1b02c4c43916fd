"""Losses of coarse satellite targets and in-situ targets over the same fine cells.

A coarse target is compared with the average of the fine predictions inside it, a site with the
prediction of its own cell (Liu et al. 2022, doi:10.1029/2021GL096847; written from its
description). All values are normalised. Predictions are not clamped to the physical range here: a
clamped one would have no gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A prediction and, optionally, the logarithm of its error variance.

    Both have the shape (n, days). The loss is the negative log-likelihood with a log-variance and
    the squared error without one.
    """

    mean: Tensor
    log_variance: Tensor | None = None


class Groups(NamedTuple):
    """Assignment of fine cells to coarse samples.

    Attributes
    ----------
    sample
        Shape (n_fine,). Index of the coarse sample of each fine cell, in any order.
    weight
        Shape (n_fine,). Weight of the fine cell, 0 or more, such as its land area; only the ratio
        within a sample counts.
    n_sample
        Number of coarse samples; a sample may have no fine cell.
    """

    sample: Tensor
    weight: Tensor
    n_sample: int


def average(fine: Estimate, groups: Groups) -> tuple[Estimate, Tensor]:
    """Average fine cells over the coarse samples that contain them.

    The errors of a sample's fine cells are assumed to be fully correlated, so the standard
    deviation of the average is the average of the standard deviations. Fine cells of one coarse
    cell share nearly all their forcing and the network, so their errors are alike. With
    independent errors, 16 cells would need four times the standard deviation of the satellite's
    misfit, and that excess would stay in the uncertainty of each published cell. A coarse target
    does not constrain differences between neighbours; only the sites do.

    Parameters
    ----------
    fine
        Shape (n_fine, days).
    groups

    Returns
    -------
    Estimate, shape (n_sample, days)
        0 where the weights of a sample sum to 0.
    Tensor of bool, shape (n_sample,)
        True where they do not.
    """
    weight = groups.weight.to(fine.mean.dtype)
    total = weight.new_zeros(groups.n_sample).index_add(0, groups.sample, weight)
    covered = total > 0
    share = (weight / torch.where(covered, total, 1.0)[groups.sample]).unsqueeze(1)

    def over_samples(values: Tensor) -> Tensor:
        zero = values.new_zeros(groups.n_sample, values.shape[1])
        return zero.index_add(0, groups.sample, share * values)

    if fine.log_variance is None:
        return Estimate(over_samples(fine.mean)), covered
    deviation = over_samples((0.5 * fine.log_variance).exp())
    log_variance = 2 * torch.where(covered.unsqueeze(1), deviation, 1.0).log()
    return Estimate(over_samples(fine.mean), log_variance), covered


def stream_loss(
    estimate: Estimate,
    target: Tensor,
    groups: Groups | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Return the mean loss over all targets of a stream of samples.

    The loss of one target is its squared error, or with a log-variance s the Gaussian negative
    log-likelihood (s + error^2 exp(-s)) / 2, without its constant (Nix & Weigend 1994,
    doi:10.1109/ICNN.1994.374138). Both have a finite gradient everywhere, also at an error of 0, as
    long as exp(-s) is finite in single precision, for s within about ±80.

    Parameters
    ----------
    estimate
        Of the samples, (n_sample, days); if `groups` is given, of the fine cells, (n_fine, days).
    target
        Shape (n_sample, days). NaN where there is none.
    groups
        Fine cells of the samples. Samples without any weight are not scored.
    sample_weight
        Shape (n_sample,). Weight of a sample's targets, 0 or more; 1 if not given.

    Returns
    -------
    Tensor, no dimension
        0, with gradients of 0, if there is no target to score.
    """
    weight = target.new_ones(target.shape[0]) if sample_weight is None else sample_weight
    if groups is not None:
        estimate, covered = average(estimate, groups)
        weight = weight * covered
    mean, log_variance = estimate
    if mean.shape != target.shape or weight.shape != target.shape[:1]:
        raise ValueError(
            f"Predictions {tuple(mean.shape)} and weights {tuple(weight.shape)} do not fit"
            f" targets {tuple(target.shape)}."
        )
    known = torch.isfinite(target)
    # Without a target the error is a constant 0, so that no NaN enters a gradient.
    error = torch.where(known, mean - target.nan_to_num(), 0.0)
    if log_variance is None:
        loss = error.square()
    else:
        loss = 0.5 * (log_variance + (error * (-0.5 * log_variance).exp()).square())
    counted = known * weight.unsqueeze(1)
    total = counted.sum()
    return (counted * loss).sum() / torch.where(total > 0, total, 1.0)

"""Losses that take satellite and ground at once: coarse cells and sites teach the same fine cells.

A coarse target is compared with the average of the fine predictions inside it, a site with that of
its own cell (Liu et al. 2022, doi:10.1029/2021GL096847; written from its description). Everything
is in normalised units. There is no bound on a prediction here: one outside the physical range is
wrong, and needs its gradient most.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A prediction, and the logarithm of its error's variance where the network gives one.

    Both have the shape (n, days). A log-variance chooses the loss: with one it is the likelihood,
    without one the squared error.
    """

    mean: Tensor
    log_variance: Tensor | None = None


class Groups(NamedTuple):
    """Which fine cells make up which coarse sample.

    Attributes
    ----------
    sample : Tensor of int64, shape (n_fine,)
        Index of the coarse sample of each fine cell, in any order.
    weight : Tensor, shape (n_fine,)
        Weight of the fine cell, 0 or more, as its land area; only the ratio within a sample counts.
    n_sample : int
        Coarse samples; one may have any number of fine cells, none too.
    """

    sample: Tensor
    weight: Tensor
    n_sample: int


def average(fine: Estimate, groups: Groups) -> tuple[Estimate, Tensor]:
    """Average fine cells over the coarse samples they lie in.

    The errors of a sample's fine cells are taken as fully correlated, so the standard deviation of
    the average is the average of the standard deviations. Fine cells of one coarse cell share
    nearly all their forcing and one network, so their errors rise and fall together; and of all
    correlations this one gives the coarse target its widest distribution. With independent errors
    16 cells would have to be four times as uncertain as the satellite's misfit says, and that
    excess would stay in the uncertainty of each published cell. What differs between neighbours is
    not seen from the coarse target; the sites have to teach it.

    Parameters
    ----------
    fine : Estimate, shape (n_fine, days)
    groups : Groups

    Returns
    -------
    Estimate, shape (n_sample, days)
        0 where a sample has no weight.
    Tensor of bool, shape (n_sample,)
        Where a sample has any weight.
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
    """Average the loss of a stream of samples over all its targets.

    The loss of one target is its squared error, or with a log-variance s the Gaussian negative
    log-likelihood (s + error^2 exp(-s)) / 2, without its constant (Nix & Weigend 1994,
    doi:10.1109/ICNN.1994.374138). Both have a finite gradient everywhere, at an error of 0 too, as
    long as single precision holds exp(-s): the network keeps s within about ±80.

    Parameters
    ----------
    estimate : Estimate
        Of the samples, (n_sample, days); if `groups` is given, of the fine cells, (n_fine, days).
    target : Tensor, shape (n_sample, days)
        NaN where there is none.
    groups : Groups, optional
        Fine cells of the samples. Those without any weight are not scored.
    sample_weight : Tensor, shape (n_sample,), optional
        Weight of a sample's targets, 0 or more; 1 if not given.

    Returns
    -------
    Tensor, no dimension
        0, with gradients of 0, where no target is to be scored.
    """
    weight = target.new_ones(target.shape[0]) if sample_weight is None else sample_weight
    if groups is not None:
        estimate, covered = average(estimate, groups)
        weight = weight * covered
    mean, log_variance = estimate
    if mean.shape != target.shape or weight.shape != target.shape[:1]:
        raise ValueError(
            f"predictions {tuple(mean.shape)} and weights {tuple(weight.shape)} do not fit"
            f" targets {tuple(target.shape)}"
        )
    there = torch.isfinite(target)
    # Where there is no target the error is a constant 0, so that no NaN meets a gradient.
    error = torch.where(there, mean - target.nan_to_num(), 0.0)
    if log_variance is None:
        loss = error.square()
    else:
        loss = 0.5 * (log_variance + (error * (-0.5 * log_variance).exp()).square())
    counted = there * weight.unsqueeze(1)
    total = counted.sum()
    return (counted * loss).sum() / torch.where(total > 0, total, 1.0)


def multiscale(satellite: Tensor, site: Tensor, site_share: float) -> Tensor:
    """Combine the losses of both streams: satellite (1 - r) + site r.

    A batch without a target in one stream has the other's part of the loss alone; it is not scaled
    up, so a rare target does not weigh more than the others.

    Parameters
    ----------
    satellite, site : Tensor, no dimension
        From `stream_loss`.
    site_share : float
        r, from 0 (satellite alone) to 1 (sites alone); 0.5 in Liu et al. 2022's code.
    """
    if not 0 <= site_share <= 1:
        raise ValueError(f"the share of the sites, {site_share}, must be from 0 to 1")
    return satellite * (1 - site_share) + site * site_share

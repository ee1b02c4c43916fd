import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor

from msm.training.fitting.losses import Estimate, Groups, average, stream_loss

NAN = math.nan
SAMPLE = torch.tensor([2, 0, 2, 0, 2, 4, 3])
"""Fine cells of five coarse samples: 0 has two, 1 none, 2 three, 3 one without weight, 4 one."""
WEIGHT = torch.tensor([1.0, 0.5, 0.25, 1.0, 0.75, 0.3, 0.0], dtype=torch.float64)
GROUPS = Groups(SAMPLE, WEIGHT, 5)


def _normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _target() -> Tensor:
    """Targets of the five samples over four days, all of one sample missing."""
    target = _normal(5, 4, seed=1)
    target[0, 1] = target[2, 3] = NAN
    target[4] = NAN
    return target


def _slow_loss(
    fine: Estimate, target: Tensor, groups: Groups, sample_weight: Tensor | None = None
) -> float:
    total = weights = 0.0
    for sample in range(groups.n_sample):
        members = [f for f in range(len(groups.sample)) if groups.sample[f] == sample]
        area = sum(float(groups.weight[f]) for f in members)
        if area == 0:
            continue
        w = 1.0 if sample_weight is None else float(sample_weight[sample])
        for day in range(target.shape[1]):
            truth = float(target[sample, day])
            if math.isnan(truth):
                continue
            share = {f: float(groups.weight[f]) / area for f in members}
            mean = sum(share[f] * float(fine.mean[f, day]) for f in members)
            if fine.log_variance is None:
                loss = (mean - truth) ** 2
            else:
                s = sum(share[f] * math.exp(float(fine.log_variance[f, day]) / 2) for f in members)
                loss = -norm.logpdf(truth, mean, s) - math.log(2 * math.pi) / 2
            total += w * loss
            weights += w
    return total / weights if weights else 0.0


@pytest.mark.parametrize("likelihood", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_equals_a_plain_loop(likelihood: bool, weighted: bool):
    fine = Estimate(_normal(7, 4), _normal(7, 4, seed=2) if likelihood else None)
    weight = torch.tensor([0.5, 1, 2, 1, 3], dtype=torch.float64) if weighted else None
    found = stream_loss(fine, _target(), GROUPS, weight)
    assert found.item() == pytest.approx(_slow_loss(fine, _target(), GROUPS, weight), rel=1e-12)


def test_means_and_standard_deviations_of_fine_cells_are_averaged():
    fine = Estimate(torch.tensor([[1.0], [4.0]]), torch.tensor([[1.0], [9.0]]).log())
    groups = Groups(torch.tensor([0, 0]), torch.tensor([3.0, 1.0]), 2)
    coarse, covered = average(fine, groups)
    assert coarse.log_variance is not None
    np.testing.assert_allclose(coarse.mean, [[1.75], [0.0]])
    np.testing.assert_allclose(coarse.log_variance.exp(), [[1.5**2], [1.0]], rtol=1e-6)
    assert covered.tolist() == [True, False]


def test_sites_are_samples_of_one_fine_cell():
    fine = Estimate(_normal(5, 4), _normal(5, 4, seed=2))
    alone = Groups(torch.arange(5), torch.full((5,), 0.7), 5)
    assert stream_loss(fine, _target()).item() == pytest.approx(
        stream_loss(fine, _target(), alone).item(), rel=1e-12
    )


@pytest.mark.parametrize("likelihood", [False, True])
def test_gradients_are_those_of_the_loss(likelihood: bool):
    mean = _normal(7, 4).requires_grad_()
    log_variance = _normal(7, 4, seed=2).requires_grad_()
    weight = torch.tensor([0.5, 1, 2, 1, 3], dtype=torch.float64)

    def loss(mean: Tensor, log_variance: Tensor) -> Tensor:
        fine = Estimate(mean, log_variance if likelihood else None)
        sites = Estimate(mean[:5], log_variance[:5] if likelihood else None)
        satellite = stream_loss(fine, _target(), GROUPS, weight)
        return 0.7 * satellite + 0.3 * stream_loss(sites, _target())

    inputs = (mean, log_variance) if likelihood else (mean, log_variance.detach())
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("likelihood", [False, True])
def test_cells_without_scored_targets_have_no_gradient(likelihood: bool):
    mean = _normal(7, 4).requires_grad_()
    log_variance = _normal(7, 4, seed=2).requires_grad_()
    fine = Estimate(mean, log_variance if likelihood else None)
    stream_loss(fine, _target(), GROUPS).backward()
    assert mean.grad is not None
    scored = torch.isfinite(_target())[SAMPLE] & (WEIGHT > 0)[:, None]
    assert (mean.grad[~scored] == 0).all()
    assert (mean.grad[scored] != 0).all()
    if likelihood:
        assert log_variance.grad is not None
        assert (log_variance.grad[~scored] == 0).all()


EMPTY = {
    "no target": (torch.full((5, 4), NAN, dtype=torch.float64), GROUPS, None),
    "no fine cell": (_target(), Groups(SAMPLE, torch.zeros(7), 5), None),
    "no weight": (_target(), GROUPS, torch.zeros(5)),
}


@pytest.mark.parametrize("likelihood", [False, True])
@pytest.mark.parametrize("case", EMPTY)
def test_a_stream_without_targets_has_loss_and_gradient_zero(case: str, likelihood: bool):
    target, groups, weight = EMPTY[case]
    mean, log_variance = _normal(7, 4).requires_grad_(), _normal(7, 4).requires_grad_()
    loss = stream_loss(Estimate(mean, log_variance if likelihood else None), target, groups, weight)
    loss.backward()
    assert loss.item() == 0
    assert mean.grad is not None
    assert (mean.grad == 0).all()
    if likelihood:
        assert log_variance.grad is not None
        assert (log_variance.grad == 0).all()


def test_a_stream_without_samples_has_loss_zero():
    none = torch.zeros(0, 4, requires_grad=True)
    groups = Groups(torch.zeros(0, dtype=torch.int64), torch.zeros(0), 0)
    for loss in (
        stream_loss(Estimate(none, none), torch.zeros(0, 4)),
        stream_loss(Estimate(none, none), torch.zeros(0, 4), groups),
    ):
        loss.backward()
        assert loss.item() == 0


@pytest.mark.parametrize("likelihood", [False, True])
def test_an_error_of_zero_has_finite_gradients(likelihood: bool):
    mean = torch.zeros(7, 4, requires_grad=True)
    log_variance = torch.zeros(7, 4, requires_grad=True)
    fine = Estimate(mean, log_variance if likelihood else None)
    stream_loss(fine, torch.zeros(5, 4), GROUPS).backward()
    assert mean.grad is not None
    assert (mean.grad == 0).all()
    if likelihood:
        assert log_variance.grad is not None
        assert torch.isfinite(log_variance.grad).all()
        # The variance of a perfect prediction should decrease.
        assert (log_variance.grad[WEIGHT > 0] > 0).all()


@pytest.mark.parametrize("likelihood", [False, True])
def test_a_prediction_far_out_of_range_has_a_large_gradient(likelihood: bool):
    mean = torch.tensor([[-50.0], [50.0]], requires_grad=True)
    fine = Estimate(mean, torch.zeros(2, 1) if likelihood else None)
    stream_loss(fine, torch.zeros(2, 1)).backward()
    assert mean.grad is not None
    assert mean.grad[0] < -10
    assert mean.grad[1] > 10


def test_the_optimal_log_variance_is_that_of_the_errors():
    error = _normal(1, 400) * 0.3
    log_variance = error.square().mean().log().expand(1, 400).clone().requires_grad_()
    stream_loss(Estimate(error, log_variance), torch.zeros_like(error)).backward()
    assert log_variance.grad is not None
    assert log_variance.grad.sum().item() == pytest.approx(0, abs=1e-12)


def test_targets_have_equal_weights_unless_samples_are_weighted():
    mean = torch.tensor([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    target = torch.tensor([[0.0, 0.0, 0.0], [0.0, NAN, NAN]])
    assert stream_loss(Estimate(mean), target) == (3 * 1 + 9) / 4
    # Weighted by one over its number of targets, each site counts once.
    assert stream_loss(Estimate(mean), target, None, torch.tensor([1 / 3, 1.0])).item() == (
        pytest.approx((1 + 9) / 2)
    )


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        stream_loss(Estimate(torch.zeros(5, 1)), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="do not fit"):
        stream_loss(Estimate(torch.zeros(5, 4)), torch.zeros(5, 4), None, torch.ones(1))


@st.composite
def _streams(draw: st.DrawFn) -> tuple[Estimate, Tensor, Groups]:
    n_fine, n_sample = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    sample = draw(st.lists(st.integers(0, n_sample - 1), min_size=n_fine, max_size=n_fine))
    weight = draw(st.lists(st.just(0.0) | st.floats(0.01, 5), min_size=n_fine, max_size=n_fine))
    seed = draw(st.integers(0, 1000))
    log_variance = _normal(n_fine, 3, seed=seed + 1) if draw(st.booleans()) else None
    target = _normal(n_sample, 3, seed=seed + 2)
    target[_normal(n_sample, 3, seed=seed + 3) < -0.5] = NAN
    groups = Groups(torch.tensor(sample), torch.tensor(weight, dtype=torch.float64), n_sample)
    return Estimate(_normal(n_fine, 3, seed=seed), log_variance), target, groups


def _taken(fine: Estimate, groups: Groups, index: Tensor) -> tuple[Estimate, Groups]:
    log_variance = None if fine.log_variance is None else fine.log_variance[index]
    return (
        Estimate(fine.mean[index], log_variance),
        Groups(groups.sample[index], groups.weight[index], groups.n_sample),
    )


@given(_streams(), st.randoms(use_true_random=False))
def test_the_order_of_the_fine_cells_does_not_matter(stream, random):
    fine, target, groups = stream
    order = list(range(len(groups.sample)))
    random.shuffle(order)
    other, other_groups = _taken(fine, groups, torch.tensor(order))
    np.testing.assert_allclose(
        stream_loss(other, target, other_groups), stream_loss(fine, target, groups), rtol=1e-9
    )


@given(_streams(), st.data())
def test_splitting_a_fine_cell_does_not_change_the_loss(stream, data):
    fine, target, groups = stream
    n_fine = len(groups.sample)
    twice = data.draw(st.integers(0, n_fine - 1))
    halved = groups.weight.clone()
    halved[twice] /= 2
    index = torch.tensor([*range(n_fine), twice])
    other, other_groups = _taken(fine, groups._replace(weight=halved), index)
    np.testing.assert_allclose(
        stream_loss(other, target, other_groups), stream_loss(fine, target, groups), rtol=1e-9
    )


@given(_streams())
def test_any_stream_loss_equals_the_plain_loop(stream):
    fine, target, groups = stream
    expected = _slow_loss(fine, target, groups)
    assert stream_loss(fine, target, groups).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)

from dataclasses import replace

import numpy as np
import pytest
import torch

from msm.model.network import SoilMoistureLSTM
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fit import Stream, Targets, channels, fit
from msm.training.fitting.fits import Job
from msm.training.fitting.losses import Estimate, Groups, stream_loss
from msm.training.fitting.recipe import Recipe, WrittenRecipe
from tests.training.buckets import GROUND_ONLY, RECIPE, data, recipe


def _job(**changes: object) -> Job:
    found = data()
    return plan(recipe(**changes), found.ground, found.satellite, found.sha256).jobs[0]


def _fit(job: Job, losses: list[float] | None = None) -> SoilMoistureLSTM:
    on_step = (losses if losses is not None else []).append
    return fit(job.recipe.recipe, job.card, job.streams, job.seed, on_step)


def _same(one: SoilMoistureLSTM, other: SoilMoistureLSTM) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_same_seed_gives_the_same_weights():
    job = _job(steps=4)
    one, again = _fit(job), _fit(job)
    assert _same(one, again)
    assert not _same(one, _fit(replace(job, seed=job.seed + 1)))


def test_the_loss_falls_and_each_step_is_reported():
    losses: list[float] = []
    _fit(_job(steps=60), losses)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_both_streams_affect_the_weights():
    """Other targets change the weights; a stream without targets keeps them finite."""
    job = _job(steps=3)
    fitted = _fit(job)
    for name, stream in job.streams.items():
        moved = replace(stream.targets, target=stream.targets.target + 0.1)
        nothing = replace(stream.targets, target=np.full_like(stream.targets.target, np.nan))
        with_moved = job.streams | {name: replace(stream, targets=moved)}
        without = job.streams | {name: replace(stream, targets=nothing)}
        assert not _same(fitted, _fit(replace(job, streams=with_moved)))
        alone = _fit(replace(job, streams=without))
        assert all(torch.isfinite(values).all() for values in alone.parameters())


def test_the_first_days_of_a_window_are_not_scored():
    """Targets that only fall into warm-up days do not affect the weights."""
    job = _job(**GROUND_ONLY, steps=3, window_days=700, warm_up_days=600)
    ground = job.streams["ground"]
    early = ground.targets.target.copy()
    early[:, 600:] = np.nan
    hidden = Targets(early, ground.targets.sample, ground.targets.weight)
    other = replace(hidden, target=np.where(np.isnan(early), early, early + 0.2))
    fits = [
        _fit(replace(job, streams={"ground": replace(ground, targets=coarse)}))
        for coarse in (hidden, other)
    ]
    assert _same(*fits)


def test_levels_of_places_absorb_constant_offsets():
    """Random offsets of ±0.1 between stations harm a network without levels more."""
    found = data()
    rng = np.random.default_rng(3)
    offset = rng.choice([-0.1, 0.1], found.ground.n_cell).astype(np.float32)
    shifted = replace(found.ground, target=found.ground.target + offset[:, None])
    errors = []
    for penalty in (0.05, None):
        asked = recipe(steps=150, **GROUND_ONLY, members=1, ground={"level_penalty": penalty})
        planned = plan(asked, shifted, found.satellite, "")
        (job,) = planned.jobs
        network = _fit(job)
        with torch.no_grad():
            output = network(channels(job.card, job.streams["ground"].places))[0][..., 0].numpy()
        head = job.card.head
        error = (
            output * head.std
            + head.mean
            - found.ground.between(
                *(job.recipe.recipe.ground.first, job.recipe.recipe.ground.last)
            ).target
        )
        error -= np.nanmean(error, axis=1, keepdims=True)
        errors.append(float(np.sqrt(np.nanmean(error**2))))
    assert errors[0] < errors[1]


def test_fine_places_are_averaged_before_they_are_compared():
    """With one coarse target, the loss of the first step equals a plain loop over the cells."""
    job = _job(steps=1, **GROUND_ONLY, ground={"windows": 1, "level_penalty": None}, dropout=0.0)
    places = job.streams["ground"].places
    n = places.n_cell
    weight = np.linspace(0.2, 1.0, n)
    target = np.full((1, places.days.size), 0.3, np.float32)
    coarse = Targets(target, np.zeros(n, np.intp), weight)
    losses: list[float] = []
    _fit(replace(job, streams={"ground": Stream(places, coarse)}), losses)
    torch.manual_seed(job.seed)
    rng = np.random.default_rng(job.seed)
    card = job.card
    network = SoilMoistureLSTM(card.n_channels, card.hidden_size, card.n_outputs)
    rng.integers(1, size=1)
    start = int(rng.integers(places.days.size - 60 + 1, size=1)[0])
    with torch.no_grad():
        out = network(channels(card, places)[:, start : start + 60])[0][:, 20:]
    mean = sum(w * cell[:, 0] for w, cell in zip(weight, out, strict=True)) / weight.sum()
    spread = sum(w * (cell[:, 1] / 2).exp() for w, cell in zip(weight, out, strict=True))
    spread = spread / weight.sum()
    aim = (0.3 - card.head.mean) / card.head.std
    squared = (mean - aim) ** 2
    likelihood = spread.log() + squared / spread**2 / 2
    share = job.recipe.recipe.ground.share
    assert losses[0] == pytest.approx(share * float((squared + likelihood).mean()), rel=1e-4)


def test_auxiliary_targets_affect_the_weights_and_their_outputs_are_removed():
    """The deeper soil moisture is half of the upper one."""
    found = data()
    below = (0.5 * found.ground.target).astype(np.float32)
    below[0] = np.nan
    deeper = replace(found.ground, auxiliary={"soil_moisture_10cm": below})
    asked = recipe(steps=40, ground={"auxiliary": ["soil_moisture_10cm"], "level_penalty": 0.1})
    job = plan(asked, deeper, found.satellite, "").jobs[0]
    losses: list[float] = []
    network = _fit(job, losses)
    assert network.head.out_features == job.card.n_outputs
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    ground = job.streams["ground"]
    unmeasured = {name: np.full_like(v, np.nan) for name, v in ground.auxiliary.items()}
    unmeasured["soil_moisture_10cm"][1, :2] = 0.1, 0.2
    without = replace(job, streams=job.streams | {"ground": replace(ground, auxiliary=unmeasured)})
    assert not _same(network, _fit(without))
    assert job.sha256 != without.sha256


def test_auxiliary_targets_alone_are_fitted():
    found = data()
    deeper = replace(found.ground, auxiliary={"soil_moisture_10cm": found.ground.target})
    asked = recipe(steps=60, **GROUND_ONLY, ground={"auxiliary": ["soil_moisture_10cm"]})
    job = plan(asked, deeper, found.satellite, "").jobs[0]
    ground = job.streams["ground"]
    no_targets = replace(ground.targets, target=np.full_like(ground.targets.target, np.nan))
    losses: list[float] = []
    _fit(replace(job, streams={"ground": replace(ground, targets=no_targets)}), losses)
    share = job.recipe.recipe.ground.share * job.recipe.recipe.ground.auxiliary_share
    assert losses[0] == pytest.approx(share, rel=0.6)
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_dropped_optional_statics_do_not_affect_the_weights():
    """All windows have their optional statics dropped."""
    job = _job(steps=3, source_dropout=0.999999, optional=["longwave_down", "sand"])
    sandier = {
        name: replace(stream, places=replace(stream.places, statics={"sand": other}))
        for name, stream in job.streams.items()
        for other in [stream.places.statics["sand"] + np.float32(0.2)]
    }
    assert _same(_fit(job), _fit(replace(job, streams=sandier)))


def test_dropped_optional_forcing_does_not_affect_the_weights():
    """All windows have their optional forcing dropped."""
    job = _job(steps=3, source_dropout=0.999999)
    satellite = job.streams["satellite"]
    forcing = satellite.places.forcing
    other = forcing | {"longwave_down": forcing["longwave_down"] + 50}
    moved = replace(satellite, places=replace(satellite.places, forcing=other))
    assert _same(_fit(job), _fit(replace(job, streams=job.streams | {"satellite": moved})))
    plain = replace(job, recipe=WrittenRecipe(_undropped(job.recipe.recipe), RECIPE))
    assert not _same(_fit(plain), _fit(replace(plain, streams=job.streams | {"satellite": moved})))


def _undropped(found: Recipe) -> Recipe:
    return found.model_copy(update={"source_dropout": 0.0})


def test_the_likelihood_has_no_gradient_to_the_mean():
    mean = torch.zeros(1, 4, requires_grad=True)
    log_variance = torch.zeros(1, 4, requires_grad=True)
    target = torch.ones(1, 4)
    groups = Groups(torch.zeros(1, dtype=torch.int64), torch.ones(1), 1)
    stream_loss(Estimate(mean.detach(), log_variance), target, groups).backward()
    assert mean.grad is None
    assert log_variance.grad is not None


def test_a_stream_with_until_is_used_in_the_first_steps_only():
    """Its targets affect the first of four steps, those of the other stream all of them."""
    job = _job(steps=4, satellite={"until": 0.25})
    losses: list[float] = []
    without: list[float] = []
    _fit(job, losses)
    nothing = np.full_like(job.streams["satellite"].targets.target, np.nan)
    satellite = job.streams["satellite"]
    unseen = replace(satellite, targets=replace(satellite.targets, target=nothing))
    _fit(replace(job, streams=job.streams | {"satellite": unseen}), without)
    assert losses[0] > without[0]
    plain: list[float] = []
    _fit(_job(steps=4), plain)
    assert plain[0] == losses[0]
    assert plain[1:] != losses[1:]

"""Fit one network to in-situ and satellite targets at once, by a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msm.model.card import Card
from msm.model.network import SoilMoistureLSTM
from msm.model.scaling import Scaling
from msm.training.data.samples import Samples
from msm.training.fitting.losses import Estimate, Groups, stream_loss
from msm.training.fitting.recipe import Measurement, Recipe

OnStep = Callable[[float], None]
"""Called after each step with its loss."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of samples, each of which covers one or more fine places.

    Attributes
    ----------
    target
        Shape (n_sample, n_day). m3 m-3; NaN where there is none.
    sample
        Shape (n_fine,). Sample that contains each fine place.
    weight
        Shape (n_fine,). Area of each fine place in its sample; only the ratio counts.
    """

    target: NDArray[np.float32]
    sample: NDArray[np.intp]
    weight: NDArray[np.float64]


def one_to_one(samples: Samples) -> Targets:
    """Return the targets of places, each of which is one sample."""
    n = samples.n_cell
    return Targets(samples.target, np.arange(n), np.ones(n))


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of measurement: fine places with their weather, and the targets over them.

    Attributes
    ----------
    places
    targets
    auxiliary
        Shape (n_fine, n_day). Further measurements at the fine places, in any unit; NaN where
        there is none.
    """

    places: Samples
    targets: Targets
    auxiliary: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def fit(
    recipe: Recipe,
    card: Card,
    streams: Mapping[Measurement, Stream],
    seed: int,
    on_step: OnStep,
    device: str = "cpu",
) -> SoilMoistureLSTM:
    """Fit a network.

    The same seed gives the same weights on one thread of the same CPU. A GPU starts with the same
    weights and draws the same windows, but other dropout masks.

    Each step draws random windows of each stream, from any days of any sample. The first days of a
    window spin up the state and are not scored. A place may have a level of its own, a parameter
    that is added to the output and discarded after the fit. Sensors and soils differ by constants
    that no input explains; without levels the network would fit them at the cost of the dynamics.

    The mean of a head is fitted by the squared error with the place's level, its log-variance by
    the likelihood of the error without it, since unseen places have no level. The gradients of the
    two are separate.

    Auxiliary measurements have outputs of their own, which are removed after the fit. Deeper soil
    moisture and soil temperature constrain the dynamics of the topsoil further.

    Parameters
    ----------
    recipe
    card
        Its statistics normalise inputs and targets.
    streams
        By the names of the card's heads, for all of `recipe.streams`.
    seed
    on_step
        Called after each step with its loss.
    device
        A torch device.

    Returns
    -------
    SoilMoistureLSTM
        On the CPU, in evaluation mode.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    training_streams, n_outputs = [], card.n_outputs
    for name, stream in streams.items():
        training_streams.append(_TrainingStream(card, name, stream, recipe, n_outputs, device))
        n_outputs += len(stream.auxiliary)
    network = SoilMoistureLSTM(card.n_channels, recipe.hidden_size, n_outputs, recipe.dropout)
    network.to(device).train()
    levels = [p for each in training_streams for p in (each.levels, each.auxiliary_levels)]
    groups: list[dict[str, Any]] = [
        {"params": list(network.parameters())},
        {"params": levels, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: _rate(n / recipe.steps))
    for step in range(recipe.steps):
        active = [each for each in training_streams if step < each.recipe.until * recipe.steps]
        batches = [each.draw(rng) for each in active]
        x = torch.cat([batch.x for batch in batches])
        _drop_optional_inputs_(x, card, recipe)
        outputs, _ = network(x)
        parts = outputs[:, recipe.warm_up_days :].split([len(batch.x) for batch in batches])
        loss = torch.stack(
            [
                each.loss(batch, part)
                for each, batch, part in zip(active, batches, parts, strict=True)
            ]
        ).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step(loss.item())
    network.keep_outputs(card.n_outputs)
    return network.cpu().eval()


@dataclass(frozen=True)
class _Batch:
    """Windows of one stream: inputs and auxiliary targets of fine places, targets of samples."""

    x: Tensor
    y: Tensor
    auxiliary: Tensor
    groups: Groups
    cells: Tensor
    samples: Tensor


class _TrainingStream:
    """A stream with normalised inputs and targets on a device."""

    def __init__(
        self,
        card: Card,
        name: Measurement,
        stream: Stream,
        fit: Recipe,
        first_auxiliary: int,
        device: str,
    ) -> None:
        head = next(head for head in card.heads if head.name == name)
        recipe = fit.streams[name]
        self.recipe, self.outputs = recipe, card.outputs_of(head)
        self.auxiliary_outputs = slice(first_auxiliary, first_auxiliary + len(stream.auxiliary))
        self.window, self.warm_up = fit.window_days, fit.warm_up_days
        self.device = device
        self.x = channels(card, stream.places).to(device)
        self.y = torch.from_numpy((stream.targets.target - head.mean) / head.std).float().to(device)
        order = np.argsort(stream.targets.sample, kind="stable")
        counts = np.bincount(stream.targets.sample, minlength=len(self.y))
        self.fine = np.split(order, np.cumsum(counts)[:-1])
        self.weight = torch.from_numpy(stream.targets.weight).float().to(device)
        self.auxiliary = _normalised_auxiliary(stream).to(device)
        n_fine, n_auxiliary = len(self.x), len(stream.auxiliary)
        self.levels, self.auxiliary_levels = (
            torch.nn.Parameter(
                torch.zeros(shape, device=device), requires_grad=recipe.level_penalty is not None
            )
            for shape in ((len(self.y),), (n_fine, n_auxiliary))
        )

    def draw(self, rng: np.random.Generator) -> _Batch:
        n_sample, n_day = self.y.shape
        samples = rng.integers(n_sample, size=self.recipe.windows)
        starts = rng.integers(n_day - self.window + 1, size=samples.size)
        fine = [self.fine[sample] for sample in samples]
        number = self._to_device(np.repeat(np.arange(samples.size), [f.size for f in fine]))
        days = self._to_device(starts[:, None] + np.arange(self.window))
        cells, drawn = self._to_device(np.concatenate(fine)), self._to_device(samples)
        return _Batch(
            self.x[cells[:, None], days[number]],
            self.y[drawn[:, None], days[:, self.warm_up :]],
            self.auxiliary[cells[:, None], days[number, self.warm_up :]],
            Groups(number, self.weight[cells], samples.size),
            cells,
            drawn,
        )

    def _to_device(self, indices: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(indices).to(self.device)

    def loss(self, batch: _Batch, outputs: Tensor) -> Tensor:
        head = outputs[..., self.outputs]
        mean, log_variance = head[..., 0], head[..., 1] if head.shape[-1] > 1 else None
        levels = self.levels[batch.samples]
        at_level = Estimate(mean + levels[batch.groups.sample][:, None])
        loss = stream_loss(at_level, batch.y, batch.groups) + self._penalty(levels)
        if log_variance is not None:
            expected = Estimate(mean.detach(), log_variance)
            loss = loss + stream_loss(expected, batch.y, batch.groups)
        if self.recipe.auxiliary:
            auxiliary = self._auxiliary_loss(batch, outputs[..., self.auxiliary_outputs])
            loss = loss + self.recipe.auxiliary_share * auxiliary
        return self.recipe.share * loss

    def _auxiliary_loss(self, batch: _Batch, output: Tensor) -> Tensor:
        levels = self.auxiliary_levels[batch.cells]
        at_level = (output + levels[:, None]).transpose(1, 2).flatten(0, 1)
        truth = batch.auxiliary.transpose(1, 2).flatten(0, 1)
        return stream_loss(Estimate(at_level), truth) + self._penalty(levels)

    def _penalty(self, levels: Tensor) -> Tensor:
        """Return the penalty on levels; they stay 0 if the recipe has no `level_penalty`."""
        return (self.recipe.level_penalty or 0.0) * levels.square().mean()


def channels(card: Card, places: Samples) -> Tensor:
    """Return the network's inputs, shape (n_cell, n_day, n_channels)."""
    shape = places.target.shape
    columns = [places.forcing[spec.name] for spec in card.forcing]
    columns += [np.broadcast_to(places.statics[s.name][:, None], shape) for s in card.statics]
    raw = torch.from_numpy(np.stack(columns, axis=-1).astype(np.float32))
    return Scaling(card, raw.device).channels_(raw)


def _normalised_auxiliary(stream: Stream) -> Tensor:
    """Return the auxiliary targets with mean 0 and standard deviation 1, (n_fine, n_day, n)."""
    if not stream.auxiliary:
        return torch.zeros((*stream.places.target.shape, 0))
    found = np.stack(list(stream.auxiliary.values()), axis=-1)
    mean, std = (of(found, axis=(0, 1), dtype=np.float64) for of in (np.nanmean, np.nanstd))
    return torch.from_numpy(((found - mean) / std).astype(np.float32))


def _drop_optional_inputs_(x: Tensor, card: Card, recipe: Recipe) -> None:
    """Mark all optional forcing of some windows as missing, and all optional statics of some."""
    if not recipe.source_dropout:
        return
    optional = [n for n, spec in enumerate(card.inputs) if spec.optional]
    late = [n for n in optional if n < len(card.forcing)]
    unmapped = [n for n in optional if n >= len(card.forcing)]
    for inputs in (late, unmapped):
        dropped = (torch.rand(len(x)) < recipe.source_dropout).to(x.device)
        for n in inputs:
            x[dropped, :, n] = 0.0
            x[dropped, :, len(card.inputs) + optional.index(n)] = 1.0


def _rate(progress: float) -> float:
    """Return the learning rate, relative to the highest, at a relative progress of the fit."""
    return min(1.0, 0.05 + 20 * progress) * 0.5 * (1 + math.cos(math.pi * progress))

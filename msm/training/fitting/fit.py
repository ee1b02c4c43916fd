"""Fit one network to ground and satellite at once, as a recipe says."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from msm.model.card import Card
from msm.model.network import SoilMoistureLSTM
from msm.model.scaling import Scaling
from msm.training.data.samples import Samples
from msm.training.fitting.losses import Estimate, Groups, stream_loss
from msm.training.fitting.recipe import Measurement, Recipe

Tick = Callable[[float], None]
"""Told of each step, with its loss."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """Coarse targets over fine places.

    Attributes
    ----------
    target : ndarray of float32, shape (n_sample, n_day)
        m3 m-3; NaN where there is none.
    sample : ndarray of int, shape (n_fine,)
        Coarse sample that each fine place lies in.
    weight : ndarray of float, shape (n_fine,)
        Area of each fine place inside it; only the ratio counts.
    """

    target: npt.NDArray[np.float32]
    sample: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float64]


def one_to_one(samples: Samples) -> Coarse:
    """Return the targets of places that are each a sample of its own."""
    n = samples.n_cell
    return Coarse(samples.target, np.arange(n), np.ones(n))


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of measurement: fine places with weather, and the targets over them.

    Attributes
    ----------
    places : Samples
    coarse : Coarse
    auxiliary : dict of str to ndarray of float32, shape (n_fine, n_day)
        What else was measured at the fine places, in any unit; NaN where nothing was.
    """

    places: Samples
    coarse: Coarse
    auxiliary: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def fit(
    recipe: Recipe,
    card: Card,
    streams: Mapping[Measurement, Stream],
    seed: int,
    tick: Tick,
    device: str = "cpu",
) -> SoilMoistureLSTM:
    """Fit a network; the same seed gives the same weights on one thread of the same machine's CPU.

    A GPU begins with the same weights and takes the same windows, but masks other weights.

    A step takes windows at random of each stream, from any day of any sample. The first days of a
    window fill the state from nothing and are not scored. A place may have a level of its own,
    which is added to what the network says and forgotten after the fit: sensors and soils differ
    by amounts that no input tells, and a network that has to explain them learns less of the rest.

    The mean of a head learns from the squared error and its variance from the likelihood of the
    error without the place's level, which no other place will have; neither disturbs the other.

    What else was measured at a place is said by outputs of its own, which the network then loses:
    how deep the water went and how warm the soil was tell more of what the topsoil did.

    Parameters
    ----------
    recipe : Recipe
    card : Card
        How inputs and targets are normalised.
    streams : mapping of str to Stream
        By the names of the card's heads; those of `recipe.streams`.
    seed : int
    tick : callable
        Told of each step, with its loss.
    device : str
        What computes, as torch names it.

    Returns
    -------
    SoilMoistureLSTM
        On the CPU, ready to predict.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    lessons, n_outputs = [], card.n_outputs
    for name, stream in streams.items():
        lessons.append(_Lesson(card, name, stream, recipe, n_outputs, device))
        n_outputs += len(stream.auxiliary)
    network = SoilMoistureLSTM(card.n_channels, recipe.hidden_size, n_outputs, recipe.dropout)
    network.to(device).train()
    levels = [level for each in lessons for level in (each.levels, each.auxiliary_levels)]
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
        taught = [each for each in lessons if step < each.recipe.until * recipe.steps]
        drawn = [lesson.draw(rng) for lesson in taught]
        x = torch.cat([windows.x for windows in drawn])
        _disturb_(x, card, recipe)
        outputs, _ = network(x)
        parts = outputs[:, recipe.warm_up_days :].split([len(windows.x) for windows in drawn])
        loss = torch.stack(
            [
                lesson.loss(windows, part)
                for lesson, windows, part in zip(taught, drawn, parts, strict=True)
            ]
        ).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        tick(loss.item())
    network.keep_outputs(card.n_outputs)
    return network.cpu().eval()


@dataclass(frozen=True)
class _Windows:
    """Windows of one stream: what fine places had and measured, targets of their samples."""

    x: Tensor
    y: Tensor
    auxiliary: Tensor
    groups: Groups
    cells: Tensor
    samples: Tensor


class _Lesson:
    """A stream in the network's numbers."""

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
        self.y = torch.from_numpy((stream.coarse.target - head.mean) / head.std).float().to(device)
        order = np.argsort(stream.coarse.sample, kind="stable")
        counts = np.bincount(stream.coarse.sample, minlength=len(self.y))
        self.fine = np.split(order, np.cumsum(counts)[:-1])
        self.weight = torch.from_numpy(stream.coarse.weight).float().to(device)
        self.auxiliary = _normalised(stream).to(device)
        n_fine, n_auxiliary = len(self.x), len(stream.auxiliary)
        self.levels, self.auxiliary_levels = (
            torch.nn.Parameter(
                torch.zeros(shape, device=device), requires_grad=recipe.level_penalty is not None
            )
            for shape in ((len(self.y),), (n_fine, n_auxiliary))
        )

    def draw(self, rng: np.random.Generator) -> _Windows:
        n_sample, n_day = self.y.shape
        samples = rng.integers(n_sample, size=self.recipe.windows)
        starts = rng.integers(n_day - self.window + 1, size=samples.size)
        fine = [self.fine[sample] for sample in samples]
        number = self._there(np.repeat(np.arange(samples.size), [f.size for f in fine]))
        days = self._there(starts[:, None] + np.arange(self.window))
        cells, drawn = self._there(np.concatenate(fine)), self._there(samples)
        return _Windows(
            self.x[cells[:, None], days[number]],
            self.y[drawn[:, None], days[:, self.warm_up :]],
            self.auxiliary[cells[:, None], days[number, self.warm_up :]],
            Groups(number, self.weight[cells], samples.size),
            cells,
            drawn,
        )

    def _there(self, indices: npt.NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(indices).to(self.device)

    def loss(self, windows: _Windows, outputs: Tensor) -> Tensor:
        said = outputs[..., self.outputs]
        mean, log_variance = said[..., 0], said[..., 1] if said.shape[-1] > 1 else None
        levels = self.levels[windows.samples]
        at_level = Estimate(mean + levels[windows.groups.sample][:, None])
        loss = stream_loss(at_level, windows.y, windows.groups) + self._penalty(levels)
        if log_variance is not None:
            expected = Estimate(mean.detach(), log_variance)
            loss = loss + stream_loss(expected, windows.y, windows.groups)
        if self.recipe.auxiliary:
            also = self._auxiliary_loss(windows, outputs[..., self.auxiliary_outputs])
            loss = loss + self.recipe.auxiliary_share * also
        return self.recipe.share * loss

    def _auxiliary_loss(self, windows: _Windows, said: Tensor) -> Tensor:
        levels = self.auxiliary_levels[windows.cells]
        at_level = (said + levels[:, None]).transpose(1, 2).flatten(0, 1)
        truth = windows.auxiliary.transpose(1, 2).flatten(0, 1)
        return stream_loss(Estimate(at_level), truth) + self._penalty(levels)

    def _penalty(self, levels: Tensor) -> Tensor:
        """Return what levels cost; they stay 0 where the recipe has none."""
        return (self.recipe.level_penalty or 0.0) * levels.square().mean()


def channels(card: Card, places: Samples) -> Tensor:
    """Return the network's inputs, shape (n_cell, n_day, n_channels)."""
    shape = places.target.shape
    columns = [places.forcing[spec.name] for spec in card.forcing]
    columns += [np.broadcast_to(places.statics[s.name][:, None], shape) for s in card.statics]
    raw = torch.from_numpy(np.stack(columns, axis=-1).astype(np.float32))
    return Scaling(card, raw.device).channels_(raw)


def _normalised(stream: Stream) -> Tensor:
    """Return what else was measured, each with mean 0 and deviation 1, (n_fine, n_day, n)."""
    if not stream.auxiliary:
        return torch.zeros((*stream.places.target.shape, 0))
    found = np.stack(list(stream.auxiliary.values()), axis=-1)
    mean, std = (of(found, axis=(0, 1), dtype=np.float64) for of in (np.nanmean, np.nanstd))
    return torch.from_numpy(((found - mean) / std).astype(np.float32))


def _disturb_(x: Tensor, card: Card, recipe: Recipe) -> None:
    """Take all optional forcing from some windows, and all optional statics from some."""
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
    """Share of the highest learning rate at a share of the steps done."""
    return min(1.0, 0.05 + 20 * progress) * 0.5 * (1 + math.cos(math.pi * progress))

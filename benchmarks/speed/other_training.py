"""Two other methods of training an LSTM for soil moisture: neuralhydrology and the reference.

- neuralhydrology (BSD-3-Clause) is the peer, with its model `CudaLSTM`, its loss and its optimiser.
  Some of its requirements would constrain msm's lock files (numba limits NumPy), and a training
  step does not load most of them. Three pinned wheels are therefore installed in `build/peers`,
  which only this module adds to the path. The peer runs in the same process with the same torch.
- the reference is the scheme of Liu et al. 2022 (doi:10.1029/2021GL096847), implemented from its
  description: windows of 30 days from an empty state, 50 coarse cells of 16 fine ones each and 50
  sites a step, half of the weights masked, the root mean squares of both kinds of error in equal
  parts, and Adadelta. Its network is msm's with one output.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msm.model.network import SoilMoistureLSTM
from msm.training.fitting.losses import Estimate, Groups, stream_loss
from msm.training.fitting.recipe import Recipe

PEERS = Path("build/peers")

COARSE, FINE, SITES = 50, 16, 50
DAYS = 30
UNITS = 256
DROPOUT = 0.5
SHARE_OF_SITES = 0.5


@dataclass(frozen=True, eq=False)
class Record:
    """Normalised inputs and targets of some places."""

    x: Tensor
    """Shape (n_place, n_day, n_channels)."""
    y: Tensor
    """Shape (n_place, n_day), NaN where there is no target."""

    def draw(self, rng: np.random.Generator, number: int, days: int) -> tuple[Tensor, Tensor]:
        """Draw random windows of places and days."""
        n_place, n_day = self.y.shape
        places = torch.from_numpy(rng.integers(n_place, size=(number, 1)))
        starts = rng.integers(n_day - days + 1, size=(number, 1))
        which = torch.from_numpy(starts + np.arange(days))
        at = places.to(self.y.device), which.to(self.y.device)
        return self.x[at], self.y[at]


class Reference:
    """The reference scheme.

    Parameters
    ----------
    ground, satellite
        Training data. A fine cell has the weather of its coarse cell, as the real data have no
        finer weather.
    units
        Width of the network.
    """

    def __init__(self, ground: Record, satellite: Record, units: int) -> None:
        self.ground, self.satellite = ground, satellite
        torch.manual_seed(0)
        self.rng = np.random.default_rng(0)
        self.device = ground.x.device
        network = SoilMoistureLSTM(ground.x.shape[-1], units, 1, DROPOUT)
        self.network = network.to(self.device).train()
        self.optimiser = torch.optim.Adadelta(self.network.parameters())
        fine = torch.arange(COARSE, device=self.device).repeat_interleave(FINE)
        self.groups = Groups(fine, torch.ones(len(fine), device=self.device), COARSE)

    def step(self) -> float:
        """Take a step; return its loss."""
        x, over_cells = self.satellite.draw(self.rng, COARSE, DAYS)
        x_sites, at_sites = self.ground.draw(self.rng, SITES, DAYS)
        outputs, _ = self.network(torch.cat([x.repeat_interleave(FINE, dim=0), x_sites]))
        cells, sites = outputs[..., 0].split([COARSE * FINE, SITES])
        errors = [
            stream_loss(Estimate(cells), over_cells, self.groups),
            stream_loss(Estimate(sites), at_sites),
        ]
        # A small offset keeps the gradient finite where the error is zero.
        of_cells, of_sites = ((error + 1e-12).sqrt() for error in errors)
        loss = (1 - SHARE_OF_SITES) * of_cells + SHARE_OF_SITES * of_sites
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def peer_version() -> str | None:
    """Return the version of neuralhydrology; None if it is not installed."""
    if PEERS.is_dir() and str(PEERS.resolve()) not in sys.path:
        # At the end, so that it hides no package of msm's environment.
        sys.path.append(str(PEERS.resolve()))
    if importlib.util.find_spec("neuralhydrology") is None:
        return None
    return version("neuralhydrology")


class CudaLSTM:
    """neuralhydrology's model on the windows of a recipe.

    Parameters
    ----------
    recipe
        Windows, width, dropout (applied to the output of the LSTM) and learning rate.
    records
        The streams of the recipe, and the number of windows of each in a step.
    embedded
        Whether a linear layer as wide as the network precedes the LSTM, as in msm.
    """

    def __init__(
        self, recipe: Recipe, records: Sequence[tuple[Record, int]], *, embedded: bool
    ) -> None:
        from neuralhydrology.modelzoo.cudalstm import CudaLSTM as Model
        from neuralhydrology.training import get_loss_obj, get_optimizer
        from neuralhydrology.utils.config import Config

        self.records, self.days = records, recipe.window_days
        first = records[0][0].x
        self.names = [f"channel {n}" for n in range(first.shape[-1])]
        embedding = {"type": "fc", "hiddens": [recipe.hidden_size], "dropout": 0.0}
        config = Config(
            {
                "model": "cudalstm",
                "head": "regression",
                "hidden_size": recipe.hidden_size,
                "output_dropout": recipe.dropout,
                "initial_forget_bias": 1.0,
                "dynamic_inputs": self.names,
                "dynamics_embedding": embedding if embedded else None,
                "target_variables": ["soil moisture"],
                "seq_length": recipe.window_days,
                "predict_last_n": recipe.window_days - recipe.warm_up_days,
                "loss": "NSE",
                "optimizer": "AdamW",
                "learning_rate": {0: recipe.learning_rate},
            }
        )
        torch.manual_seed(0)
        self.rng = np.random.default_rng(0)
        self.model = Model(config).to(first.device).train()
        self.loss = get_loss_obj(config).to(first.device)
        self.optimiser = get_optimizer(self.model, config)

    def step(self) -> float:
        """Take a step; return its loss."""
        drawn = [record.draw(self.rng, number, self.days) for record, number in self.records]
        x, y = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        data = {
            "x_d": dict(zip(self.names, x.split(1, dim=-1), strict=True)),
            "y": y[..., None],
            # The real spread of each place would cost the same.
            "per_basin_target_stds": torch.ones(len(y), 1, 1, device=y.device),
        }
        loss, _ = self.loss(self.model(self.model.pre_model_hook(data, is_train=True)), data)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return loss.item()


def seconds_a_step(scheme: Reference | CudaLSTM, steps: int) -> float:
    """Run a number of steps; return the mean seconds of one."""
    began = time.perf_counter()
    for _ in range(steps):
        scheme.step()
    return (time.perf_counter() - began) / steps

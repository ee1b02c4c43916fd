"""Days of the network on a CUDA device, where the state stays from day to day.

During the computation of a day the next day's forcing is uploaded and the results of the previous
day are downloaded, each on a stream of its own and through pinned memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from msm.model.card import Card
from msm.model.checkpoint import Checkpoint
from msm.model.level import add_level_, level
from msm.model.prediction import Prediction
from msm.model.scaling import Scaling
from msm.model.state import State

BATCH = 65536
"""Number of cells per batch: half a gigabyte of gates at 256 units."""

Precision = Literal["float32", "float16"]
"""Precision of the LSTM's products and gates."""

Float32 = NDArray[np.float32]


def run(
    checkpoint: Checkpoint,
    days: Iterable[Float32],
    statics: Float32,
    state: State,
    device: torch.device,
    precision: Precision,
) -> Iterator[tuple[Prediction, State]]:
    """Run day after day; see `msm.model.inference.run`."""
    resident = Resident(checkpoint, statics, state, device, precision)
    streams = torch.cuda.Stream(device), torch.cuda.Stream(device)
    pending = None
    for forcing in days:
        launched = _launch(resident, forcing, device, *streams)
        if pending is not None:
            yield _collect(*pending)
        pending = launched
    if pending is not None:
        yield _collect(*pending)


class _Member(nn.Module):
    """One network with only its published head."""

    def __init__(
        self,
        weights: Mapping[str, Float32],
        card: Card,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        size, published = card.hidden_size, card.published_outputs
        self.dtype = dtype
        self.inlet = nn.Linear(card.n_channels, size, device=device)
        self.cell = nn.LSTMCell(size, size, device=device, dtype=dtype)
        self.head = nn.Linear(size, card.head.n_outputs, device=device)
        own = {
            name.replace("lstm.", "cell.").removesuffix("_l0"): torch.tensor(weight)
            for name, weight in weights.items()
        }
        for name in ("head.weight", "head.bias"):
            own[name] = own[name][published]
        self.load_state_dict(own)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs, float32 of shape (n_cell, 1 or 2), and the state after the day."""
        before = h.to(self.dtype), c.to(self.dtype)
        h, c = self.cell(self.inlet(x).relu_().to(self.dtype), before)
        return self.head(h.float()), h, c


class Resident:
    """The networks and the state of all cells on a device.

    Attributes
    ----------
    h, c
        Shape (n_cell, members * hidden_size). State after the last day. Each day allocates
        new tensors, so that the previous ones can still be downloaded.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        statics: Float32,
        state: State,
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.card = card = checkpoint.card
        dtype = getattr(torch, precision)
        self.scaling = Scaling(card, device)
        self.members = [
            _Member(checkpoint.member(number), card, device, dtype)
            for number in range(card.members)
        ]
        self.statics = torch.tensor(statics, device=device)
        self.level = level(card, self.statics)
        self.h, self.c = (torch.tensor(part, device=device) for part in (state.h, state.c))

    @torch.inference_mode()
    def advance(self, forcing: Tensor) -> Tensor:
        """Advance the state by a day; return the fields of `Prediction`, shape (3, n_cell)."""
        prediction = forcing.new_empty(3, len(forcing))
        h, c = torch.empty_like(self.h), torch.empty_like(self.c)
        size = h.shape[1] // len(self.members)
        for first in range(0, len(forcing), BATCH):
            cells = slice(first, first + BATCH)
            x = self.scaling.channels_(torch.cat([forcing[cells], self.statics[cells]], dim=1))
            outputs = []
            for number, member in enumerate(self.members):
                own = cells, slice(number * size, (number + 1) * size)
                outputs_of_member, h[own], c[own] = member(x, self.h[own], self.c[own])
                outputs.append(outputs_of_member.T)
            predicted = self.scaling.prediction_(torch.stack(outputs, dim=1))
            add_level_(self.level.at(cells), predicted, self.card)
            prediction[:, cells] = predicted
        self.h, self.c = h, c
        return prediction


@torch.inference_mode()
def _launch(
    resident: Resident,
    forcing: Float32,
    device: torch.device,
    up: torch.cuda.Stream,
    down: torch.cuda.Stream,
) -> tuple[list[Tensor], torch.cuda.Event]:
    """Queue a day; return the buffers of its results on the host and the event of their arrival."""
    compute = torch.cuda.current_stream(device)
    with torch.cuda.stream(up):
        raw = torch.from_numpy(forcing).pin_memory().to(device, non_blocking=True)
    compute.wait_stream(up)
    # The allocator must not reuse the memory while another stream uses it.
    raw.record_stream(compute)
    prediction = resident.advance(raw)
    down.wait_stream(compute)
    on_host = []
    with torch.cuda.stream(down):
        for part in (prediction, resident.h, resident.c):
            pinned = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
            on_host.append(pinned.copy_(part, non_blocking=True))
            part.record_stream(down)
        return on_host, down.record_event()


def _collect(on_host: list[Tensor], event: torch.cuda.Event) -> tuple[Prediction, State]:
    event.synchronize()
    prediction, h, c = (part.numpy() for part in on_host)
    return Prediction(*prediction), State(h, c)

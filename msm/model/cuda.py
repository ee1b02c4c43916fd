"""Days of the network on a CUDA device, where the state stays from day to day.

While a day is computed the next day's forcing comes up and the results of the day before go down,
each on a stream of its own, from and to pinned memory.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from msm.model.checkpoint import Checkpoint
from msm.model.scaling import Scaling
from msm.model.state import State

BATCH = 65536
"""Cells that are computed at a time: half a gigabyte of gates at 256 units."""

Precision = Literal["float32", "float16"]
"""Numbers that the LSTM multiplies and its gates are rounded to."""

Float32 = npt.NDArray[np.float32]


def run(
    checkpoint: Checkpoint,
    days: Iterable[Float32],
    statics: Float32,
    state: State,
    device: torch.device,
    precision: Precision,
) -> Iterator[tuple[Float32, State]]:
    """Run day after day, as `msm.model.inference.run` describes it."""
    resident = Resident(checkpoint, statics, state, device, precision)
    streams = torch.cuda.Stream(device), torch.cuda.Stream(device)
    under_way = None
    for forcing in days:
        launched = _launch(resident, forcing, device, *streams)
        if under_way is not None:
            yield _arrived(*under_way)
        under_way = launched
    if under_way is not None:
        yield _arrived(*under_way)


class Resident:
    """The network and the state of its cells on a device.

    Attributes
    ----------
    h, c : Tensor of float16, shape (n_cell, hidden_size)
        State after the last day. Each day makes new ones, so that the old may still be on their
        way to the host.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        statics: Float32,
        state: State,
        device: torch.device,
        precision: Precision,
    ) -> None:
        weights = {name: torch.tensor(w, device=device) for name, w in checkpoint.weights.items()}
        size = checkpoint.card.hidden_size
        self.dtype = getattr(torch, precision)
        self.scaling = Scaling(checkpoint.card, device)
        self.inlet = nn.Linear(len(checkpoint.card.inputs), size, device=device)
        self.cell = nn.LSTMCell(size, size, device=device, dtype=self.dtype)
        self.head = nn.Linear(size, 1, device=device)
        for module, prefix, suffix in (
            (self.inlet, "inlet.", ""),
            (self.cell, "lstm.", "_l0"),
            (self.head, "head.", ""),
        ):
            names = module.state_dict()
            module.load_state_dict({name: weights[f"{prefix}{name}{suffix}"] for name in names})
        self.statics = torch.tensor(statics, device=device)
        self.h, self.c = (torch.tensor(part, device=device) for part in (state.h, state.c))

    @torch.inference_mode()
    def advance(self, forcing: Tensor) -> Tensor:
        """Advance the state by a day; return the soil moisture, float32 of shape (n_cell,)."""
        soil_moisture = torch.empty_like(forcing[:, 0])
        h, c = torch.empty_like(self.h), torch.empty_like(self.c)
        for first in range(0, len(forcing), BATCH):
            cells = slice(first, first + BATCH)
            x = self.scaling.normalise_(torch.cat([forcing[cells], self.statics[cells]], dim=1))
            before = self.h[cells].to(self.dtype), self.c[cells].to(self.dtype)
            hidden, c[cells] = self.cell(self.inlet(x).relu_().to(self.dtype), before)
            h[cells] = hidden
            y = self.head(hidden.float()).squeeze(1)
            soil_moisture[cells] = self.scaling.soil_moisture_(y)
        self.h, self.c = h, c
        return soil_moisture


@torch.inference_mode()
def _launch(
    resident: Resident,
    forcing: Float32,
    device: torch.device,
    up: torch.cuda.Stream,
    down: torch.cuda.Stream,
) -> tuple[list[Tensor], torch.cuda.Event]:
    """Queue a day; return where its results will lie on the host, and the event of their coming."""
    compute = torch.cuda.current_stream(device)
    with torch.cuda.stream(up):
        raw = torch.from_numpy(forcing).pin_memory().to(device, non_blocking=True)
    compute.wait_stream(up)
    # The allocator must not hand memory on while another stream than its own uses it.
    raw.record_stream(compute)
    soil_moisture = resident.advance(raw)
    down.wait_stream(compute)
    on_host = []
    with torch.cuda.stream(down):
        for part in (soil_moisture, resident.h, resident.c):
            pinned = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
            on_host.append(pinned.copy_(part, non_blocking=True))
            part.record_stream(down)
        return on_host, down.record_event()


def _arrived(on_host: list[Tensor], event: torch.cuda.Event) -> tuple[Float32, State]:
    event.synchronize()
    soil_moisture, h, c = (part.numpy() for part in on_host)
    return soil_moisture, State(h, c)

"""The network of Liu et al. 2022 (doi:10.1029/2021GL096847), written from its description."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from msm.model.checkpoint import Checkpoint

HiddenCell = tuple[Tensor, Tensor]
"""Hidden and cell state (h, c), each of shape (batch, hidden_size)."""


class SoilMoistureLSTM(nn.Module):
    """Linear and ReLU, then one LSTM layer, then Linear to one or more numbers a day.

    Inputs and outputs are normalised by the statistics of the checkpoint's card.

    Parameters
    ----------
    n_inputs
        Number of input channels (daily forcing, then static attributes repeated every day, then the
        masks of optional ones).
    hidden_size
        Width of the first layer and of the LSTM.
    n_outputs
        Numbers a day: for each head of the card, in order, a mean and, if it has one, a
        log-variance.
    dropout
        Share of the LSTM's input and recurrent weights set to zero in training. One mask is drawn
        per forward pass and holds for all its days; the other weights are scaled by
        1 / (1 - dropout).
    """

    def __init__(
        self, n_inputs: int, hidden_size: int, n_outputs: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.inlet = nn.Linear(n_inputs, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, n_outputs)
        # An initially open forget gate lets gradients reach back over a season.
        nn.init.constant_(self.lstm.get_parameter("bias_ih_l0")[hidden_size : 2 * hidden_size], 1.0)

    def keep_outputs(self, n: int) -> None:
        """Remove all but the first `n` outputs."""
        head = nn.Linear(self.hidden_size, n, device=self.head.weight.device)
        head.load_state_dict({name: w[:n] for name, w in self.head.state_dict().items()})
        self.head = head

    def _lstm_weights(self) -> list[Tensor]:
        """Return the LSTM's weights, with a dropout mask in training mode."""
        w_ih, w_hh, b_ih, b_hh = self.lstm.parameters()
        return [
            functional.dropout(w_ih, self.dropout, training=self.training),
            functional.dropout(w_hh, self.dropout, training=self.training),
            b_ih,
            b_hh,
        ]

    def forward(self, x: Tensor, state: HiddenCell | None = None) -> tuple[Tensor, HiddenCell]:
        """Run a sequence of days.

        Parameters
        ----------
        x
            Normalised inputs of shape (batch, days, n_inputs).
        state
            State after the day before the first one, each (batch, hidden_size); zero if not given.

        Returns
        -------
        y : Tensor
            Normalised outputs of shape (batch, days, n_outputs).
        (h, c)
            State after the last day, each (batch, hidden_size).
        """
        if state is None:
            zero = x.new_zeros(x.shape[0], self.hidden_size)
            state = (zero, zero)
        h0, c0 = (part.unsqueeze(0) for part in state)
        z = functional.relu(self.inlet(x))
        out, h, c = torch.lstm(
            z,
            (h0, c0),
            self._lstm_weights(),
            True,  # biases
            1,  # layer
            0.0,  # no dropout on activations
            self.training,
            False,  # one direction
            True,  # batch first
        )
        return self.head(out), (h.squeeze(0), c.squeeze(0))

    def step(self, x: Tensor, state: HiddenCell) -> tuple[Tensor, HiddenCell]:
        """Run one day from a carried state.

        Parameters
        ----------
        x
            Normalised inputs of the day, shape (batch, n_inputs).
        state
            State after the day before, each (batch, hidden_size).

        Returns
        -------
        y : Tensor
            Normalised outputs of shape (batch, n_outputs).
        (h, c)
            State after the day.
        """
        y, after = self.forward(x.unsqueeze(1), state)
        return y.squeeze(1), after


def network_of(checkpoint: Checkpoint, member: int) -> SoilMoistureLSTM:
    """Build a member of a checkpoint in evaluation mode."""
    card = checkpoint.card
    built = SoilMoistureLSTM(card.n_channels, card.hidden_size, card.n_outputs)
    weights = checkpoint.member(member).items()
    built.load_state_dict({name: torch.tensor(weight) for name, weight in weights})
    return built.eval()


def weights_of(members: Iterable[SoilMoistureLSTM]) -> dict[str, NDArray[np.float32]]:
    """Return the weights of networks, named as in a checkpoint with these members."""
    return {
        f"{number}.{name}": weight.cpu().numpy()
        for number, member in enumerate(members)
        for name, weight in member.state_dict().items()
    }

"""The network of Liu et al. 2022 (doi:10.1029/2021GL096847), written from its description."""

import torch
from torch import Tensor, nn
from torch.nn import functional

Carried = tuple[Tensor, Tensor]
"""Hidden and cell state (h, c), each of shape (batch, hidden_size)."""


class SoilMoistureLSTM(nn.Module):
    """Linear and ReLU, then one LSTM layer, then Linear to one number a day.

    It reads and writes normalised values; the checkpoint's card says how to normalise.

    Parameters
    ----------
    n_inputs : int
        Number of input channels (daily forcing, then static attributes repeated every day).
    hidden_size : int
        Width of the first layer and of the LSTM.
    dropout : float
        Share of the LSTM's input and recurrent weights set to zero in training. One mask is drawn
        per forward pass and held over all its days, the others are scaled by 1 / (1 - dropout).
    """

    def __init__(self, n_inputs: int, hidden_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.inlet = nn.Linear(n_inputs, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 1)
        # An open forget gate at the start lets gradients reach back over a season.
        nn.init.constant_(self.lstm.get_parameter("bias_ih_l0")[hidden_size : 2 * hidden_size], 1.0)

    def _lstm_weights(self) -> list[Tensor]:
        """Return the LSTM's weights, with the training mask where training asks for one."""
        w_ih, w_hh, b_ih, b_hh = self.lstm.parameters()
        return [
            functional.dropout(w_ih, self.dropout, training=self.training),
            functional.dropout(w_hh, self.dropout, training=self.training),
            b_ih,
            b_hh,
        ]

    def forward(self, x: Tensor, state: Carried | None = None) -> tuple[Tensor, Carried]:
        """Run a sequence of days.

        Parameters
        ----------
        x : Tensor
            Normalised inputs of shape (batch, days, n_inputs).
        state : (h, c), optional
            State after the day before the first, each (batch, hidden_size); zero if not given.

        Returns
        -------
        y : Tensor
            Normalised soil moisture of shape (batch, days).
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
        return self.head(out).squeeze(-1), (h.squeeze(0), c.squeeze(0))

    def step(self, x: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Run one day from a carried state.

        Parameters
        ----------
        x : Tensor
            Normalised inputs of the day, shape (batch, n_inputs).
        state : (h, c)
            State after the day before, each (batch, hidden_size).

        Returns
        -------
        y : Tensor
            Normalised soil moisture of shape (batch,).
        (h, c)
            State after the day.
        """
        y, carried = self.forward(x.unsqueeze(1), state)
        return y.squeeze(1), carried

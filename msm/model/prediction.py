"""The prediction of a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """Soil moisture and its uncertainty in two parts, m3 m-3.

    Attributes
    ----------
    soil_moisture
        Shape (n_cell,). Mean over the members, each clamped to the physical bounds of the card,
        with the level of the place (`msm.model.level`).
    aleatoric
        Shape (n_cell,). Predicted (aleatoric) standard deviation of the error.
    epistemic
        Shape (n_cell,). Standard deviation between the members; 0 with one member.
    """

    soil_moisture: NDArray[np.float32]
    aleatoric: NDArray[np.float32]
    epistemic: NDArray[np.float32]

    def __sizeof__(self) -> int:
        """Return the size of the arrays in bytes."""
        return self.soil_moisture.nbytes + self.aleatoric.nbytes + self.epistemic.nbytes

"""What the network says of a day."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Prediction:
    """Soil moisture and its uncertainty in two parts, m3 m-3.

    Attributes
    ----------
    soil_moisture : ndarray of float32, shape (n_cell,)
        Mean over the members, each within the physical bounds of the card, at the level of the
        place (`msm.model.level`).
    aleatoric : ndarray of float32, shape (n_cell,)
        Standard deviation of the error that the members expect of themselves.
    epistemic : ndarray of float32, shape (n_cell,)
        Standard deviation between the members; 0 with only one.
    """

    soil_moisture: npt.NDArray[np.float32]
    aleatoric: npt.NDArray[np.float32]
    epistemic: npt.NDArray[np.float32]

    def __sizeof__(self) -> int:
        """Return the bytes of the numbers."""
        return self.soil_moisture.nbytes + self.aleatoric.nbytes + self.epistemic.nbytes

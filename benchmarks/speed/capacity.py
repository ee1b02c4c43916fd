"""What many days cost, predicted from what one day costs.

Forcing is made and maps are published in parallel over days, the network runs in parallel over
blocks of cells; a stated fraction of the work from stored forcing to file is done by one processor
(Amdahl). Fetching goes on meanwhile, so that the slower of the two decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msm.settings import Settings

SHARE_OF_DOUBLING = 0.8
"""Doubling the workers stops to pay where it leaves more than this share of the time."""


@dataclass(frozen=True)
class Costs:
    """What one day of a domain costs; seconds of one worker."""

    forcing: float
    """From granules on disk to stored forcing."""
    run: float
    """From stored forcing to the published file, the network's step included."""
    serial: float
    """Fraction of `run` that one processor does while the others wait."""
    step: float
    """The network's step, of `run`."""
    files: float
    """Granules."""
    size: float
    """Bytes of the granules."""


@dataclass(frozen=True)
class Link:
    """A way to the provider."""

    megabits: float
    """Megabits a second."""
    connections: int
    seconds_a_file: float
    """From asking for a file to its first byte, redirects included."""

    def seconds(self, files: float, size: float) -> float:
        """Return how long files take to arrive: by their bytes, or by the waiting for each."""
        return max(8e-6 * size / self.megabits, files * self.seconds_a_file / self.connections)


@dataclass(frozen=True)
class Capacity:
    """What many days take."""

    hours: float
    bound: str
    """What decides: `fetch` or `workers`."""


def capacity(costs: Costs, days: int, workers: int, link: Link | None = None) -> Capacity:
    """Predict how long many days take.

    Parameters
    ----------
    costs
        What one day costs.
    days
        How many there are.
    workers
        Processors that share the work.
    link
        The way to the provider; None where the granules are on disk.
    """
    serial, parallel = parts(costs)
    seconds = {"workers": serial + parallel / workers}
    if link is not None:
        seconds["fetch"] = link.seconds(costs.files, costs.size)
    bound = max(seconds, key=lambda what: seconds[what])
    return Capacity(days * seconds[bound] / 3600, bound)


def parts(costs: Costs) -> tuple[float, float]:
    """Return the seconds of a day that one processor needs alone, and those that are shared."""
    serial = costs.serial * costs.run
    return serial, costs.forcing + costs.run - serial


def most_workers(costs: Costs) -> float:
    """Return from how many workers on doubling them leaves `SHARE_OF_DOUBLING` of the time."""
    serial, shared = parts(costs)
    if serial == 0.0:
        return float("inf")
    return shared * (SHARE_OF_DOUBLING - 0.5) / (serial * (1 - SHARE_OF_DOUBLING))


def kept(
    bytes_a_day: Mapping[str, float], granules_a_day: float, days: int, settings: Settings
) -> dict[str, float]:
    """Return the bytes of each kind that are on disk after many days, pruned as the settings say.

    Parameters
    ----------
    bytes_a_day
        As `benchmarks.speed.storage` measures them.
    granules_a_day
        Bytes of the granules of a day.
    days
        How many there are.
    settings
        For how long each kind is kept.
    """
    states = min(days, settings.state_days + 1)
    old = max(days - states, 0) // settings.anchor_days
    forcing = days if settings.forcing_days is None else min(days, settings.forcing_days + 1)
    number = {
        "forcing": forcing,
        "snapshot": states + old,
        "record": days,
        "prediction": states,
        "map": days,
        "item": days,
        "picture": days,
    }
    return {
        "granules": granules_a_day * min(days, settings.granule_days + 1),
        **{kind: size * number[kind] for kind, size in bytes_a_day.items()},
    }

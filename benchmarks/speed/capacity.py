"""Predict the run time and the size on disk of many days from the cost of one day.

Forcing and publication run in parallel over days, the network runs in parallel over blocks of
cells. A given fraction of the work from stored forcing to file is serial (Amdahl's law). Downloads
run at the same time, so the slower of the two is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msm.settings import Settings

SHARE_OF_DOUBLING = 0.8
"""Doubling the workers is not worthwhile where it leaves more than this share of the time."""


@dataclass(frozen=True)
class Costs:
    """Cost of one day of a domain; seconds of one worker."""

    forcing: float
    """From granules on disk to stored forcing."""
    run: float
    """From stored forcing to the published file, the network's step included."""
    serial: float
    """Fraction of `run` that is serial."""
    step: float
    """The network's step, a part of `run`."""
    files: float
    """Number of granules."""
    size: float
    """Bytes of the granules."""


@dataclass(frozen=True)
class Link:
    """A network connection to the provider."""

    megabits: float
    """Megabits a second."""
    connections: int
    seconds_a_file: float
    """From the request of a file to its first byte, redirects included."""

    def seconds(self, files: float, size: float) -> float:
        """Return the download time of files, limited by bandwidth or by the latency of each."""
        return max(8e-6 * size / self.megabits, files * self.seconds_a_file / self.connections)


@dataclass(frozen=True)
class Capacity:
    """Run time of many days."""

    hours: float
    bound: str
    """The limiting resource: `fetch` or `workers`."""

    def __str__(self) -> str:
        return f"{self.hours:.1f} ({self.bound})"


def capacity(costs: Costs, days: int, workers: int, link: Link | None = None) -> Capacity:
    """Return the predicted run time of many days.

    Parameters
    ----------
    costs
        Cost of one day.
    days
        Number of days.
    workers
        Processors that share the work.
    link
        Connection to the provider; None where the granules are on disk.
    """
    serial, parallel = parts(costs)
    seconds = {"workers": serial + parallel / workers}
    if link is not None:
        seconds["fetch"] = link.seconds(costs.files, costs.size)
    bound = max(seconds, key=lambda what: seconds[what])
    return Capacity(days * seconds[bound] / 3600, bound)


def parts(costs: Costs) -> tuple[float, float]:
    """Return the serial and the parallel seconds of one day."""
    serial = costs.serial * costs.run
    return serial, costs.forcing + costs.run - serial


def most_workers(costs: Costs) -> float:
    """Return the number of workers whose doubling leaves `SHARE_OF_DOUBLING` of the time."""
    serial, shared = parts(costs)
    if serial == 0.0:
        return float("inf")
    return shared * (SHARE_OF_DOUBLING - 0.5) / (serial * (1 - SHARE_OF_DOUBLING))


def kept(
    bytes_a_day: Mapping[str, float], granules_a_day: float, days: int, settings: Settings
) -> dict[str, float]:
    """Return the bytes of each kind on disk after many days, pruned according to the settings.

    Parameters
    ----------
    bytes_a_day
        Bytes a day by kind, from `benchmarks.speed.storage`.
    granules_a_day
        Bytes of the granules of a day.
    days
        Number of days.
    settings
        Retention of each kind.
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

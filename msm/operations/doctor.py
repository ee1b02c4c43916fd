"""The pre-flight checks of `msm doctor`: what a run depends on."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import version

import requests

from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.archive.naming import map_path
from msm.archive.validate import validate
from msm.errors import MsmError
from msm.operations.day_states import known_days, states
from msm.operations.supply import STOPPED_REMEDY, discontinued
from msm.pipeline.run import Run, midnight
from msm.sources.tiers import best_sources

PACKAGES = ("msm", "torch", "xarray", "netCDF4", "dask", "earthaccess", "prefect")

CLOCK_SECONDS = 60.0
"""Largest error of the clock: a token is valid from and until a moment."""


class Verdict(StrEnum):
    """The outcome of a check."""

    good = "good"
    look = "look"
    """It works now, but needs attention."""
    bad = "bad"


@dataclass(frozen=True)
class Finding:
    """The finding of one check."""

    subject: str
    verdict: Verdict
    what: str
    remedy: str = ""


def examine(run: Run, now: datetime) -> list[Finding]:
    """Run all checks, whatever one of them finds.

    Parameters
    ----------
    run
        An open run.
    now
        The present time, UTC.
    """
    checks: list[Callable[[Run, datetime], Iterator[Finding]]] = [
        _versions,
        _folders,
        _checkpoint,
        _device,
        _token,
        _clock,
        _earthdata,
        _newest_map,
        _quality,
        _days,
    ]
    found = []
    for check in checks:
        subject = check.__name__.strip("_").replace("_", " ")
        try:
            found += list(check(run, now))
        except MsmError as error:
            found.append(Finding(subject, Verdict.bad, str(error)))
    return found


def _versions(run: Run, now: datetime) -> Iterator[Finding]:
    named = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield Finding("versions", Verdict.good, f"Python {sys.version.split()[0]}, {named}")


def _folders(run: Run, now: datetime) -> Iterator[Finding]:
    settings = run.settings
    for subject, folder in (("work", settings.work), ("archive", settings.archive)):
        place = folder.resolve()
        while not place.exists():
            place = place.parent
        if not os.access(place, os.W_OK):
            yield Finding(
                subject,
                Verdict.bad,
                f"{place} cannot be written to",
                f"give the user of msm write permission, or set MSM_{subject.upper()}",
            )
            continue
        free = shutil.disk_usage(place).free / 1e9
        short = free < settings.disk_margin_gb
        yield Finding(
            subject,
            Verdict.look if short else Verdict.good,
            f"{folder.resolve()}, {free:.0f} GB free",
            f"less than MSM_DISK_MARGIN_GB ({settings.disk_margin_gb:g}): make room, as with"
            " msm prune"
            if short
            else "",
        )


def _checkpoint(run: Run, now: datetime) -> Iterator[Finding]:
    checkpoint = run.checkpoint
    card = checkpoint.card
    yield Finding(
        "checkpoint",
        Verdict.good,
        f"{card.name} {card.version}, {card.members} x {card.hidden_size}, "
        f"SHA-256 {checkpoint.sha256[:12]}",
    )


def _device(run: Run, now: datetime) -> Iterator[Finding]:
    import torch

    wanted = run.settings.device
    if torch.cuda.is_available():
        yield Finding(
            "device", Verdict.good, f"{torch.cuda.get_device_name()}, MSM_DEVICE={wanted}"
        )
    elif wanted == "cuda":
        yield Finding(
            "device",
            Verdict.bad,
            "MSM_DEVICE is cuda, and torch finds no CUDA device",
            "repair the driver, or set MSM_DEVICE=cpu",
        )
    else:
        yield Finding("device", Verdict.good, f"CPU, {len(os.sched_getaffinity(0))} processors")


def _token(run: Run, now: datetime) -> Iterator[Finding]:
    if run.settings.mirror:
        return
    token = os.environ.get("EARTHDATA_TOKEN")
    if not token:
        how = "user and password" if os.environ.get("EARTHDATA_USERNAME") else "~/.netrc, if at all"
        yield Finding("token", Verdict.good, f"not set: msm logs in by {how}")
        return
    ends = token_end(token)
    if ends is None:
        yield Finding("token", Verdict.good, "EARTHDATA_TOKEN is set; it does not say when it ends")
        return
    left = ends - now
    verdict = (
        Verdict.bad
        if left < timedelta(0)
        else Verdict.look
        if left < timedelta(days=run.settings.token_margin_days)
        else Verdict.good
    )
    yield Finding(
        "token",
        verdict,
        f"EARTHDATA_TOKEN {'ended' if left < timedelta(0) else 'ends'} on {ends:%Y-%m-%d %H:%MZ}",
        f"make a new one at https://{run.settings.edl_host}" if verdict != Verdict.good else "",
    )


def token_end(token: str) -> datetime | None:
    """Return when a token of Earthdata Login expires; None where it does not say.

    It is a JSON web token, whose second part holds the claims.
    """
    try:
        _, claims, _ = token.split(".")
        ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
        return datetime.fromtimestamp(float(ends), UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _clock(run: Run, now: datetime) -> Iterator[Finding]:
    settings = run.settings
    if settings.mirror:
        return
    try:
        answer = requests.head(settings.cmr_url, timeout=settings.timeout_seconds)
        stated = parsedate_to_datetime(answer.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        # The search reports a catalogue that does not answer.
        return
    off = (datetime.now(UTC) - stated).total_seconds()
    bad = abs(off) > CLOCK_SECONDS
    yield Finding(
        "clock",
        Verdict.bad if bad else Verdict.good,
        f"{off:+.0f} s from the catalogue's",
        "synchronise the clock by NTP: days and tokens depend on it" if bad else "",
    )


def _earthdata(run: Run, now: datetime) -> Iterator[Finding]:
    for product in best_sources(run.domain):
        latency = product.layout.latency
        newest = (now - timedelta(days=1 + latency.due_days)).date()
        oldest = newest - timedelta(days=int(latency.retry_days - latency.due_days))
        offered = run.source.search(product, midnight(oldest), now)
        if since := discontinued(product, offered, oldest, now):
            yield Finding(product.id, Verdict.bad, since, STOPPED_REMEDY)
            continue
        days = [granule.time.date() for granule in offered if granule.time]
        late = not days or max(days) < newest
        yield Finding(
            product.id,
            Verdict.look if late else Verdict.good,
            f"offered up to {max(days)}" if days else f"nothing is offered since {oldest}",
            f"{newest} is due: it is late, see status.earthdata.nasa.gov" if late else "",
        )


def _newest_map(run: Run, now: datetime) -> Iterator[Finding]:
    days = store.published_days(run.settings.archive, run.domain.name)
    if not days:
        yield Finding("newest map", Verdict.good, "nothing is published yet")
        return
    item = store.read_item(run.settings.archive, run.domain.name, days[-1])
    problems = validate(item.path) if item else ["it has no STAC item"]
    yield Finding(
        "newest map",
        Verdict.bad if problems else Verdict.good,
        " ".join(problems) if problems else f"{days[-1]}, {(now.date() - days[-1]).days} days old",
        f"msm daily --date {days[-1]}" if problems else "",
    )


def _quality(run: Run, now: datetime) -> Iterator[Finding]:
    settings = run.settings
    newest = store.published_days(settings.archive, run.domain.name)[-settings.window_days :]
    paths = [map_path(settings.archive, run.domain.name, day) for day in newest]
    assessed = [known for path in paths if (known := read_assessment(path))]
    over = [known for known in assessed if known.exceeded]
    withheld = any(known.verdict == "withheld" for known in over)
    yield Finding(
        "quality",
        Verdict.bad if withheld else Verdict.look if over else Verdict.good,
        f"{len(over)} of the newest {len(assessed)} maps exceed a limit (first: {over[0].day},"
        f" {', '.join(over[0].exceeded)})"
        if over
        else f"the newest {len(assessed)} maps exceed no limit",
        "msm status --quality" if over else "",
    )


def _days(run: Run, now: datetime) -> Iterator[Finding]:
    alarms = [state for state in states(run, known_days(run), now) if state.alarms]
    yield Finding(
        "days",
        Verdict.bad if alarms else Verdict.good,
        f"{len(alarms)} need attention (first: {alarms[0].day}): {alarms[0].note}"
        if alarms
        else "no day needs attention",
        "msm status" if alarms else "",
    )

"""Write docs/accuracy.md from what docs/accuracy keeps: `make accuracy-page`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from benchmarks.skill.accuracy import COST, FOUND, IMAGES
from benchmarks.skill.comparison import PAIRED
from docs_tools.results_page import table
from msm.training.protocol import protocol
from msm.training.split import Split

PAGE = Path("docs/accuracy.md")

SERVING, FINE = "serving.json", "fine-cells.json"

FIGURES = ("R", "R_anomaly", "RMSE", "ubRMSE", "bias", "KGE")
OF_TWO_YEARS = tuple(figure for figure in FIGURES if figure != "R_anomaly")
"""An anomaly takes five years."""
HIGHER_IS_BETTER = ("R", "R_anomaly")

HEAD = """# Accuracy where it has never been

Made by `make accuracy-page` from the files in [docs/accuracy](accuracy), which `make accuracy`
writes. Do not edit.
"""


class Section(NamedTuple):
    """What the page says of a split."""

    title: str
    what: str


SECTIONS = {
    Split.folds: Section(
        "Stations that were not learned from",
        "The stations are dealt out into {folds} folds, those nearer than {together:.0f} km to one"
        " another together. A recipe is fitted {folds} times, each time without one fold, and"
        " predicts that fold from the stations' own weather.",
    ),
    Split.regions: Section(
        "Regions that were not learned from",
        "The stations of each of NOAA's nine climate regions are left out as a whole, and"
        " predicted by what learned from the stations of the others.",
    ),
    Split.satellite: Section(
        "The next year of the satellite",
        "Recipes that learn until {train_last} predict SMAP of {test_first} to {test_last} at the"
        " {cells} cells of 36 km, all of which they have seen in the year before: what is new is"
        " the time, not the place. hydroDL's predictions were trained on the same year; the"
        " climatology is each cell's own, of that year. Persistence repeats the newest retrieval"
        " that is at least so many days old, however old. The recipes with data integration"
        " (`integration-1` to `-3`) are given the newest retrieval of that least age, of the tested"
        " year too, so they are to be held against persistence of the same age.",
    ),
}


def page(found: Path) -> str:
    """Return the page.

    Parameters
    ----------
    found
        Folder with what `benchmarks.skill.accuracy` keeps. What it lacks is named as not measured.
    """
    rules = protocol()
    facts = {"folds": rules.folds.number, "together": rules.folds.together_km}
    facts |= rules.satellite.model_dump()
    parts = [HEAD, *_intro()]
    for split, section in SECTIONS.items():
        parts.append(f"## {section.title}\n\n{wrapped(section.what.format(**facts))}\n")
        compared = read(found / f"compared-{split}.json")
        if compared is None:
            parts.append(f"Not measured yet: `compared-{split}.json` is not there.\n")
        else:
            parts += _section(found, split, compared)
    parts += [*_serving(found), *_fine(found)]
    return "\n".join([*parts, *_cost(found), *_provenance(found)])


def read(path: Path) -> dict[str, Any] | None:
    """Read a result; None where it is not there."""
    return json.loads(path.read_text()) if path.exists() else None


def crossvalidations(found: Path) -> dict[str, dict[str, Any]]:
    """Return what was cross-validated, by recipe and split as the files are named."""
    known = {path.stem: json.loads(path.read_text()) for path in sorted(found.glob("*.json"))}
    return {name: result for name, result in known.items() if "recipe_sha256" in result}


def command(result: Mapping[str, Any]) -> str:
    """Return the command that made a cross-validation."""
    return f"msm crossval {result['recipe']} --split {result['split']} --data FOLDER"


def own_figures(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of cross-validations, on all site-days of each."""
    return table(
        ("", "sites", *FIGURES, "inside 90 %", "sites with 80-97 %"),
        (
            (
                name,
                str(result["n_sites"]),
                *(_figure(figure, result["median"][figure]) for figure in FIGURES),
                _figure("R", result["coverage90"]),
                _figure("R", result["share_sites_80_97"]),
            )
            for name, result in results.items()
        ),
    )


def share_without_levels(sites: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of sites with 80 to 97 % of days inside the best 90 % interval there can be.

    The interval is of one that knows how much the errors of each site scatter, and how much the
    levels of sites differ, but not in which direction a site's does: its width is a multiple of
    the root of the sum of both squares, the same multiple everywhere, so that on average 90 % of
    the days are inside. Errors are taken as normal.

    Parameters
    ----------
    sites
        With ``bias`` and ``ubRMSE``.
    """
    bias, scatter = (np.array([site[key] for site in sites]) for key in ("bias", "ubRMSE"))
    sigma = np.hypot(np.sqrt(np.mean(bias**2)), scatter)

    def inside(multiple: float) -> np.ndarray:
        return ndtr((multiple * sigma - bias) / scatter) - ndtr(
            (-multiple * sigma - bias) / scatter
        )

    found = inside(brentq(lambda multiple: inside(multiple).mean() - 0.9, 0.01, 100.0))
    return float(np.mean((found >= 0.80) & (found <= 0.97)))


def part_figures(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the medians of each fold or region."""
    return table(
        ("part", "sites", *FIGURES),
        (
            (name, str(row["n_sites"]), *(_figure(figure, row[figure]) for figure in FIGURES))
            for name, row in parts.items()
        ),
    )


def not_better(differences: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say of each pair where its interval does not lie on the better side, all sites."""
    for pair in differences:
        worse, unsure = [], []
        for figure, found in pair["figures"].items():
            sign = 1 if figure in HIGHER_IS_BETTER else -1
            low, high = sorted((sign * found["low"], sign * found["high"]))
            if low <= 0:
                (worse if high < 0 else unsure).append(f"{figure} {_difference(figure, found)}")
        told = [
            f"{how} in {', '.join(figures)}"
            for how, figures in (("worse", worse), ("not shown to be better", unsure))
            if figures
        ]
        if told:
            yield f"{pair['first']} beside {pair['second']}: {'; '.join(told)}."


def wrapped(text: str) -> str:
    """Return prose in lines that a difference can be read of."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _intro() -> Iterator[str]:
    rules = protocol()
    scoring, anomaly, bootstrap = rules.scoring, rules.anomaly, rules.bootstrap
    yield wrapped(
        "How it is measured was fixed before the first fit that it judges and stands in"
        " [protocol.toml](../msm/training/protocol.toml). R and the errors (m3 m-3) are medians"
        ' over sites; "inside 90 %" is the share of all site-days whose truth lies in the 90 %'
        " interval of the uncertainty. Paired differences are medians over sites of the first minus"
        f" the second, in brackets the {100 * bootstrap.level:.0f} % interval of"
        f" {bootstrap.resamples:,} bootstrap samples of the sites; between neighbours it is too"
        " narrow."
    )
    yield ""
    yield wrapped(
        f"At stations the days of {scoring.first} to {scoring.last} are scored that are unfrozen"
        " and have a soil moisture of 0.001 to 0.6 m3 m-3 and known weather, where a station has"
        f" {scoring.min_days} of them. Anomalies are departures from a site's mean year"
        f" ({anomaly.window_days} days wide, {anomaly.min_years} years or more). A recipe that"
        " learns from SMAP as well keeps the cells about the stations that are left out, as the"
        f" product has them everywhere. Level jumpers are the {len(rules.level_jumpers.stations)}"
        " stations whose soil moisture changes its level."
    )
    yield ""


def _section(found: Path, split: Split, compared: Mapping[str, Any]) -> Iterator[str]:
    networks = compared["networks"]
    results = {name: read(found / f"{name}-{split}.json") for name in networks}
    there = {name: result for name, result in results.items() if result is not None}
    commands = ", ".join(f"`{command(result)}`" for result in there.values())
    yield f"Each recipe by itself, on all its site-days ({commands}):\n"
    yield own_figures(there) + "\n"
    if split != Split.satellite:
        ideal = share_without_levels(there[networks[0]]["sites"])
        yield wrapped(
            "The last column is low because the level of a site that was never seen is not known."
            f" With the biases and the scatter of {networks[0]}, even an interval that knew the"
            " scatter at each site, but not which way its level is off, would have 80 to 97 % of"
            f" the days inside at {ideal:.0%} of the sites."
        )
        yield ""
    yield (
        f"All at the same {compared['n_sites']} sites on the same {compared['site_days']:,}"
        " site-days (`make accuracy`):\n"
    )
    yield _same_days(compared) + "\n"
    yield "Paired differences (`make accuracy`):\n"
    yield _paired(compared["differences"]) + "\n"
    if lines := list(not_better(compared["differences"])):
        yield "What did not help, or was not shown to:\n"
        yield "\n".join(f"- {line}" for line in lines) + "\n"
    first = networks[0]
    if len(parts := compared["scores"][first]["parts"]) > 1:
        yield f"{first}, part by part:\n"
        yield part_figures(parts) + "\n"
    stem = f"{first}-{split}"
    for name, words in (
        ("skill", "R at each site"),
        ("series", "The sites with the highest, the median and the lowest R"),
        ("calibration", "Calibration of the uncertainty"),
    ):
        yield f"![{words}, {first}](images/{IMAGES.name}/{stem}-{name}.png)\n"


def _same_days(compared: Mapping[str, Any]) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for name, scores in compared["scores"].items():
            whole, steady = scores["median"], scores["median_without_jumpers"]
            yield name, *(_figure(figure, whole[figure]) for figure in FIGURES)
            if steady != whole:
                yield (
                    f"{name}, without level jumpers",
                    *(_figure(figure, steady[figure]) for figure in FIGURES),
                )

    return table(("", *FIGURES), rows())


def _paired(differences: Sequence[Mapping[str, Any]]) -> str:
    shown = [figure for figure in PAIRED if any(figure in pair["figures"] for pair in differences)]

    def row(pair: Mapping[str, Any], figures: Mapping[str, Any], note: str) -> tuple[str, ...]:
        cells = (
            _difference(figure, figures[figure]) if figure in figures else "-" for figure in shown
        )
        return f"{pair['first']} minus {pair['second']}{note}", *cells

    def rows() -> Iterator[tuple[str, ...]]:
        for pair in differences:
            whole = pair["figures"]
            steady = {figure: each["without_jumpers"] for figure, each in whole.items()}
            yield row(pair, whole, "")
            if any(steady[figure]["n_sites"] != whole[figure]["n_sites"] for figure in whole):
                yield row(pair, steady, ", without level jumpers")

    return table(("", *shown), rows())


def _serving(found: Path) -> Iterator[str]:
    yield "## Stations as the product serves them\n"
    served = read(found / SERVING)
    if served is None:
        yield f"Not measured yet: `{SERVING}` is not there.\n"
        return
    yield wrapped(
        "The figures above are of stations' own gauges, with soil measured on the spot. The product"
        " has neither: its weather is a gridded analysis, and its soil a map. Here the networks of"
        f" the folds predict the same stations from {served['first']} to {served['last']} in three"
        " ways: from their own gauge and measured soil; from their own gauge and what the product"
        " knows of the place; and from what the product knows alone, fetched, regridded and stored"
        " by it. The NLDAS-2 that it fetches is replayed from cells of 36 km that lie 144 km apart,"
        " so the weather of a station comes from as far as 100 km, which real granules do not have."
        f" {served['n_sites']} sites, {served['site_days']:,}"
        " site-days, the same for all (`make serving`):"
    )
    yield ""
    yield (
        table(
            ("", *OF_TWO_YEARS, "inside 90 %", "sites with 80-97 %"),
            (
                (
                    name,
                    *(_figure(figure, row["median"][figure]) for figure in OF_TWO_YEARS),
                    _figure("R", row["coverage90"]),
                    _figure("R", row["share_sites_80_97"]),
                )
                for name, row in served["scores"].items()
            ),
        )
        + "\n"
    )
    yield "Paired differences:\n"
    yield _paired(served["differences"]) + "\n"


def _fine(found: Path) -> Iterator[str]:
    yield "## Sixteen cells in one of the satellite's\n"
    fine = read(found / FINE)
    if fine is None:
        yield f"Not measured yet: `{FINE}` is not there.\n"
        return
    inside = ", ".join(
        f"{number} in {count}" for number, count in fine["fine cells in them"].items()
    )
    yield wrapped(
        "The satellite's sample has one value of the weather for each cell of 36 km, so everything"
        " above learns from it one to one. Here the network runs on the cells of 9 km that lie in"
        " each, with the product's stored weather, and their average, by land, meets the retrieval;"
        " beside it the same fit on the average of their weather. The stored weather is replayed"
        " from the cells of 36 km and has no detail of its own: this shows that the way works and"
        f" what it costs, not what finer weather would add. {fine['cells']} cells of 36 km (cells"
        f" of 9 km in them: {inside}), {fine['steps']} steps of {fine['windows']} windows, the"
        " satellite's next year (`make fine`):"
    )
    yield ""
    yield (
        table(
            ("", "cells that the network runs on", "minutes", "R", "RMSE", "ubRMSE", "bias"),
            (
                (
                    name,
                    str(row["fine cells"]),
                    f"{row['minutes']:.1f}",
                    f"{row['r']:.3f}",
                    f"{row['rmse']:.4f}",
                    f"{row['ubrmse']:.4f}",
                    f"{row['bias']:+.4f}",
                )
                for name, row in fine["scores"].items()
            ),
        )
        + "\n"
    )


def _cost(found: Path) -> Iterator[str]:
    costs = read(found / COST)
    if costs:
        yield "## What it took\n"
        yield "The last run of `make accuracy` that fitted something of each:\n"
        yield (
            table(
                ("", "fits", "minutes", "processors"),
                (
                    (name, str(cost["fits"]), f"{cost['minutes']:.1f}", str(cost["processors"]))
                    for name, cost in costs.items()
                ),
            )
            + "\n"
        )


def _provenance(found: Path) -> Iterator[str]:
    results = crossvalidations(found)
    if results:
        yield "## What it stands on\n"
        yield "SHA-256, the first twelve digits; the files have all of them:\n"
        keys = ("recipe_sha256", "data_sha256", "code_sha256")
        yield (
            table(
                ("", "recipe", "data", "code of the fit"),
                ((name, *(result[key][:12] for key in keys)) for name, result in results.items()),
            )
            + "\n"
        )


def _difference(figure: str, found: Mapping[str, Any]) -> str:
    middle, low, high = (_signed(figure, found[key]) for key in ("median", "low", "high"))
    return f"{middle} [{low}, {high}]"


def _signed(figure: str, value: float) -> str:
    return f"{value:+.3f}" if figure in HIGHER_IS_BETTER else f"{value:+.4f}"


def _figure(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    if figure == "bias":
        return f"{value:+.4f}"
    return f"{value:.4f}" if figure in ("RMSE", "ubRMSE") else f"{value:.3f}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(FOUND))


if __name__ == "__main__":
    main()

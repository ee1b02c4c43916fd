"""Write docs/checkpoint.md from the shipped card and docs/accuracy: `make accuracy-page`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.skill.accuracy import FOUND
from benchmarks.skill.comparison import by_part
from docs_tools.accuracy_page import command, crossvalidations, own_figures, part_figures, wrapped
from docs_tools.results_page import table
from msm.model.card import Card, InputSpec
from msm.model.checkpoint import Checkpoint, load_checkpoint
from msm.training.data.stations import RULES
from msm.training.protocol import protocol
from msm.training.split import Split

PAGE = Path("docs/checkpoint.md")

WORST = 10
"""Sites of the lowest R that are listed."""

LICENCE = """\
The weights are licensed {licence}. What they were learned from was measured by NASA (SMAP,
NLDAS-2) and NOAA (U.S. Climate Reference Network), agencies of the United States, and is in the
public domain. The sample of 412 cells through which the NASA data came, CONUSv4f1, was distributed
with a package (hydroDL) under a non-commercial licence. msm holds neither the sample nor code of
that package. Whoever needs to be free of the question can sample SMAP L3 and NLDAS-2 anew and
train again.
"""

WITH_STATIONS = """\
- **Frozen ground.** No frozen day was a target (left out are {frozen}) and none is scored:
  nothing is known of the values there. The maps flag freezing air.
- **Level jumpers.** {jumpers} stations change the level of their soil moisture in the middle of the
  record. They were not removed; [figures](accuracy.md) are given with and without them.
- **Forest and organic soils.** No station stands in forest; two of three stand in grassland. Values
  above 0.6 m3 m-3, as peat has them, count as no measurement. What a map says of such places was
  learned elsewhere."""

WITHOUT_STATIONS = """\
- **Frozen ground.** SMAP retrieves little there: hardly anything is known of the values. The maps
  flag freezing air.
- **The ground.** It has learned from no station: its level is that of SMAP.
- **Forest.** SMAP sees little of the soil under dense forest, and its errors were learned with
  it."""

ELSEWHERE = """\
- **Elsewhere.** All that it learned from lies in the contiguous United States and close by. A map
  of another continent is an extrapolation, and no flag but `outside_training` says so.
"""

CITE = """\
Cite msm by its [CITATION.cff](../CITATION.cff), with the name, version and SHA-256 of the
checkpoint above, and the paper that the network comes from: Liu, Rahmani, Lawson and Shen (2022),
[doi:10.1029/2021GL096847](https://doi.org/10.1029/2021GL096847).
"""


def page(checkpoint: Checkpoint, found: Path) -> str:
    """Return the page.

    Parameters
    ----------
    checkpoint
    found
        Folder with what `benchmarks.skill.accuracy` keeps. Only cross-validations of the recipe
        that the card holds are taken.
    """
    card = checkpoint.card
    recipe = hashlib.sha256(card.training.recipe.encode()).hexdigest()
    results = {
        name: result
        for name, result in crossvalidations(found).items()
        if result["recipe_sha256"] == recipe
    }
    sections = (
        _head(checkpoint),
        _takes_and_gives(card),
        _learned_from(card),
        _accuracy(card, results),
        _fails(card, results),
        ["## Licence\n", LICENCE.format(licence=card.licence)],
        ["## How to cite\n", CITE],
    )
    return "\n".join(line for section in sections for line in section)


def _head(checkpoint: Checkpoint) -> Iterator[str]:
    card = checkpoint.card
    yield f"# The checkpoint: {card.name} {card.version}\n"
    yield (
        "Made by `make accuracy-page` from the card of the checkpoint that msm ships and the files"
        " in\n[docs/accuracy](accuracy). Do not edit.\n"
    )
    yield (
        table(
            ("", ""),
            (
                ("SHA-256", f"`{checkpoint.sha256}`"),
                ("made", f"{card.created:%Y-%m-%d}, msm {card.training.code_version}"),
                ("networks", f"{card.members} of {card.hidden_size} LSTM units"),
                ("trained by", f"`{card.training.command}`"),
            ),
        )
        + "\n"
    )


def _takes_and_gives(card: Card) -> Iterator[str]:
    yield "## What it takes and gives\n"

    def row(spec: InputSpec, kind: str) -> tuple[str, ...]:
        seen = f"{spec.minimum:.4g} to {spec.maximum:.4g}"
        return f"`{spec.name}`", kind, spec.units, seen, "yes" if spec.optional else "no"

    yield (
        table(
            ("input", "kind", "units", "seen in training", "may be missing"),
            [row(spec, "daily") for spec in card.forcing]
            + [row(spec, "static") for spec in card.statics],
        )
        + "\n"
    )
    if card.retrievals:
        yield wrapped(
            f"Retrievals of SMAP are at least {card.retrievals.lag_days} days old; the newest of"
            f" {card.retrievals.window_days} days is taken."
        )
        yield ""
    low, high, factors = card.target.minimum, card.target.maximum, card.uncertainty
    given = (
        f"It gives the soil moisture of the top 5 cm as the {card.published} measurements have it,"
        f" {low:g} to {high:g} {card.target.units}, daily means, with its uncertainty."
    )
    if card.head.error is None:
        given += (
            " Calibration multiplies what the networks expect of their error by"
            f" {factors.aleatoric:.3f} and the spread between them by {factors.epistemic:.3f}."
        )
    else:
        given += f" The uncertainty is one number, {card.head.error:.4f} {card.target.units}."
    if card.level:
        terms = " and ".join(f"{term.slope:+.4f} for `{term.name}`" for term in card.level)
        given += (
            f" To the level of a place with a known soil it adds {terms}, {card.target.units} for"
            " each standard deviation from the mean of the training; where that is not known, the"
            f" networks' own error is multiplied by {factors.without_level:.3f} again."
        )
    yield wrapped(given) + "\n"


def _learned_from(card: Card) -> Iterator[str]:
    record = card.training
    yield "## What it learned from\n"
    yield wrapped(f"{record.data}.") + "\n"
    periods = ", ".join(f"{period.first} to {period.last}" for period in record.periods)
    yield (
        f"{len(record.stations)} stations and {len(record.cells)} satellite cells gave targets of"
        f" {periods}.\n"
    )
    if any(member.left_out_stations for member in record.members):
        yield (
            "Each network has left some stations out; its errors there have calibrated the level"
            " and the\nuncertainty.\n"
        )
        yield (
            table(
                ("network", "seed", "stations left out"),
                (
                    (str(number), str(member.seed), str(len(member.left_out_stations)))
                    for number, member in enumerate(record.members, 1)
                ),
            )
            + "\n"
        )
    yield f"The recipe:\n\n```toml\n{record.recipe.strip()}\n```\n"


def _accuracy(card: Card, results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "## How good it is where it has never been\n"
    if not results:
        yield (
            "No cross-validation of its recipe is kept in docs/accuracy.\n[Results](results.md)"
            " tells what was measured of it.\n"
        )
        return
    yield wrapped(
        "The checkpoint itself has learned from every place, so these figures are of its recipe,"
        " fitted without what it is scored on. They are medians over sites, errors in"
        f" {card.target.units}; [accuracy](accuracy.md) has the baselines beside them."
    )
    yield ""
    yield own_figures(results) + "\n"
    for name, result in results.items():
        yield f"{name}, part by part (`{command(result)}`):\n"
        yield part_figures(by_part(result)) + "\n"


def _fails(card: Card, results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    jumpers = protocol().level_jumpers.stations
    yield "## Where it fails\n"
    for result in results.values():
        if result["split"] != Split.folds:
            continue
        worst = sorted(
            (site for site in result["sites"] if site["R"] is not None), key=lambda site: site["R"]
        )
        yield f"The {WORST} sites of the lowest R (`{command(result)}`):\n"
        yield (
            table(
                ("site", "fold", "R", "RMSE", "bias", "inside 90 %", "its level jumps"),
                (
                    (
                        site["name"],
                        site["part"],
                        f"{site['R']:.3f}",
                        f"{site['RMSE']:.4f}",
                        f"{site['bias']:+.4f}",
                        f"{site['coverage90']:.2f}",
                        "yes" if site["name"] in jumpers else "",
                    )
                    for site in worst[:WORST]
                ),
            )
            + "\n"
        )
    if card.training.stations:
        yield WITH_STATIONS.format(frozen=RULES["frozen"], jumpers=len(jumpers))
    else:
        yield WITHOUT_STATIONS
    yield ELSEWHERE


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load_checkpoint(), FOUND))


if __name__ == "__main__":
    main()

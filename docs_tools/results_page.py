"""Write docs/results.md from what the programs of this folder measured last: `make results`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.results import FOUND, read

TEMPLATE = Path("docs_tools/results.template.md")
PAGE = Path("docs/results.md")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table as Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replay_table(replay: dict[str, Any]) -> str:
    """Return the skill of the maps and the baselines."""
    return table(
        (f"{replay['first']}..{replay['last']}", "R", "RMSE", "ubRMSE", "bias", "cells", "days"),
        (
            (
                name,
                f"{row['r']:.3f}",
                f"{row['rmse']:.4f}",
                f"{row['ubrmse']:.4f}",
                f"{row['bias']:+.4f}",
                str(row["cells"]),
                str(row["cell_days"]),
            )
            for name, row in replay["median over cells"].items()
        ),
    )


def backfill_tables(made: dict[str, Any]) -> dict[str, Any]:
    """Return what half a year in one go cost and gave, and what a revised day changed."""
    cost, revision = made["cost"], made["revision"]
    changed_first, changed_last, changed_files = revision["files that changed"]
    return {
        "backfill_first": made["first"],
        "backfill_last": made["last"],
        "backfill_table": replay_table(made),
        "backfill_days": cost["days run"],
        "backfill_published": cost["days"],
        "backfill_minutes": cost["minutes"],
        "backfill_rate": cost["days a minute"],
        "backfill_memory": ", ".join(
            f"{gib:.1f}" for gib in cost["peak memory of each 30 days, GiB"]
        ),
        "backfill_fetched": cost["days fetched"],
        "backfill_fetch": cost["minutes of the fetch"],
        "revised": revision["revised"],
        "forcing_anew": ", ".join(revision["forcing made anew"]),
        "stale_days": ", ".join(revision["stale"]),
        "after_days": revision["days after it"],
        "replayed": revision["replayed"],
        "replay_minutes": revision["minutes"],
        "changed_first": changed_first,
        "changed_last": changed_last,
        "changed_files": changed_files,
        "kept_files": revision["files that kept their bytes"],
    }


def reading_table(reading: dict[str, Any]) -> str:
    """Return what reading costs, product by product."""
    return table(
        ("product", "MB", "msm, MB/s", "/ h5py", "whole file / h5py", "x xarray"),
        (
            (
                name,
                f"{row['MB each']:.1f}",
                f"{row['msm, MB/s']:.0f}",
                f"{row['msm / h5py']:.0%}",
                f"{row['whole, one process: msm / h5py']:.0%}",
                f"{row['times as fast as xarray']:.1f}" if row["times as fast as xarray"] else "-",
            )
            for name, row in reading.items()
        ),
    )


def second_tables(second: dict[str, Any]) -> dict[str, str]:
    """Return how a day of the second source differs from the first's."""
    last = second["days"][-1]
    columns = ("mean", "standard deviation", "95 % of cells within", "largest", "R")
    rows = {
        f"soil moisture, {second['days'][0]}": second["soil moisture, second minus first"][
            second["days"][0]
        ],
        f"soil moisture, {last}": second["soil moisture, second minus first"][last],
        **{f"{name}, {last}": row for name, row in second["forcing, second minus first"].items()},
    }
    skill = second["against SMAP, median over cells"]
    return {
        "second_table": table(
            ("SPL4SMGP minus NLDAS", *columns),
            ((name, *(f"{row[column]:.4g}" for column in columns)) for name, row in rows.items()),
        ),
        "second_flags": table(
            ("made from", "status", "flagged `lower_tier`", "RMSE", "bias"),
            (
                (
                    name,
                    row["status"],
                    f"{row['flagged lower_tier']:.0%}",
                    f"{skill[name]['rmse']:.4f}",
                    f"{skill[name]['bias']:+.4f}",
                )
                for name, row in second["status and flags"].items()
            ),
        ),
        "second_first": second["days"][0],
        "second_last": last,
    }


def global_tables(globe: dict[str, Any]) -> dict[str, str]:
    """Return what a global day costs, and what a day costs against its cells."""
    steps = ("forcing", "network", "publish")

    def row(name: str, made: dict[str, Any]) -> tuple[str, ...]:
        return (
            name,
            f"{made['cells']:,}",
            *(f"{made['seconds'][step]:.1f}" for step in steps),
            f"{made['day']:.1f}",
            f"{1e6 * made['day'] / made['cells']:.0f}",
            f"{made['peak memory, GiB']:.1f}",
        )

    head = ("", "cells", *(f"{step}, s" for step in steps), "day, s", "s per million", "GiB")
    return {
        "global_table": table(head, (row(*day) for day in globe["one global day"].items())),
        "cells_table": table(head, (row(*day) for day in globe["against cells"].items())),
    }


def memory_tables(memory: dict[str, Any]) -> dict[str, str]:
    """Return what rounding the state does, and what is left of a cold start."""
    columns = ("root mean square", "99 % within", "largest")
    return {
        "memory_cells": str(memory["cells"]),
        "precision_table": table(
            ("state kept in", "bytes a cell", *columns, "after 30 days: rms"),
            (
                (
                    name,
                    str(row["bytes a cell"]),
                    *(f"{row['after 365 days'][column]:.1e}" for column in columns),
                    f"{row['after 30 days']['root mean square']:.1e}",
                )
                for name, row in memory["precision"].items()
            ),
        ),
        "overlap_table": table(
            ("days", *columns),
            (
                (days, *(f"{row[column]:.4f}" for column in columns))
                for days, row in memory["overlap"].items()
            ),
        ),
    }


def many_days_table(many: dict[str, Any]) -> dict[str, Any]:
    """Return what many days cost with one worker and with two, and beside their floor."""
    parts = many["of which"]
    return {
        "many_days": many["days"],
        "many_rate": many["days a minute"]["2"],
        "many_table": table(
            ("workers", "s a day", "days a minute"),
            (
                (workers, f"{seconds:.2f}", f"{many['days a minute'][workers]:.0f}")
                for workers, seconds in many["seconds a day"].items()
            ),
        ),
        "many_floor": many["seconds of the floor"],
        "many_products": parts["matrix products"],
        "many_inflate": parts["inflate"],
        "many_deflate": parts["deflate"],
        "many_state": parts["state"],
        "many_ratio": many["day / floor"],
        "many_serial": many["serial fraction"],
        "many_predicted": ", ".join(
            f"{times:.1f} times with {workers}"
            for workers, times in many["predicted speedup"].items()
        ),
        "many_most": 60 / parts["matrix products"],
    }


def inference_tables(inference: dict[str, Any]) -> dict[str, Any]:
    """Return the step beside products, and what reduced precision does to the map."""
    columns = ("root mean square", "largest")
    ways = {name: row for name, row in inference["precision"].items() if name != "cells"}
    return {
        "share_table": table(
            ("network", "step, GFLOP/s", "sgemm, GFLOP/s", "share"),
            (
                (
                    name,
                    f"{row['step, gflop/s']:.0f}",
                    f"{row['sgemm, gflop/s']:.0f}",
                    f"{row['share']:.0%}",
                )
                for name, row in inference["share"].items()
            ),
        ),
        "step_seconds": inference["window"]["carried state, s"],
        "window_seconds": inference["window"]["window of 365 days, s"],
        "times_window": inference["window"]["times as fast"],
        "reduced_cells": inference["precision"]["cells"],
        "reduced_table": table(
            ("precision", *(f"{days} days: {name}" for days in (30, 365) for name in columns)),
            (
                (
                    name,
                    *(
                        f"{row[f'after {days} days'][column]:.1e}"
                        for days in (30, 365)
                        for column in columns
                    ),
                )
                for name, row in ways.items()
            ),
        ),
    }


def idle_tables(idle: dict[str, Any]) -> dict[str, Any]:
    """Return what a scheduled run costs that finds nothing to do, and one that finds a day."""
    return {
        "idle_window": idle["window"],
        "idle_table": table(
            ("a scheduled run with", "s", "s of its own processors"),
            (
                (what, *(f"{idle['seconds'][what][of]:.1f}" for of in ("clock", "processors")))
                for what in ("nothing to do", "one new day", "the same by its date")
            ),
        ),
        "idle_requests": ", ".join(
            f"{number:g} of {name}" for name, number in idle["requests of each product"].items()
        ),
        "idle_torch": "is" if idle["torch imported"] else "is not",
    }


def training_tables(training: dict[str, Any]) -> dict[str, Any]:
    """Return a step of training beside products and the peer, and beside the reference's scheme."""
    rows = dict(training["cpu"])
    if "gpu" in training:
        rows |= {f"{name}, {training['gpu name']}": row for name, row in training["gpu"].items()}
    schemes = {name: row for name, row in rows.items() if "reference" in name}
    of_msm = {name: row for name, row in rows.items() if name.startswith("msm")}
    ours, theirs = rows["msm"], rows["reference"]
    return {
        "training_recipe": training["recipe"],
        "training_peer": training["peer"],
        "training_units": ours["units"],
        "training_warm_up": training["warm-up days"],
        "training_table": table(
            ("a step of", "cell-days/s", "GFLOP/s", "of sgemm, its shape", "of a square sgemm"),
            (
                (
                    name,
                    f"{row['cell-days/s']:,.0f}",
                    f"{row['gflop/s']:.0f}",
                    f"{row['share of sgemm at its shape']:.0%}",
                    f"{row['share of square sgemm']:.0%}",
                )
                for name, row in rows.items()
                if name not in schemes
            ),
        ),
        "scheme_table": table(
            ("scheme", "units", "a step", "cell-days a target", "targets/s", "ground", "satellite"),
            (
                (
                    name,
                    str(row["units"]),
                    f"{row['windows']} x {row['days']} days",
                    f"{row['cell-days a target']:.1f}",
                    f"{row['targets/s']:,.0f}",
                    *(
                        f"{row[key]:,.0f}" if key in row else "-"
                        for key in ("targets/s, ground", "targets/s, satellite")
                    ),
                )
                for name, row in (of_msm | schemes).items()
            ),
        ),
        "training_times": ours["targets/s"] / theirs["targets/s"],
        "training_cells": theirs["cell-days a target"] / ours["cell-days a target"],
    }


def soak_tables(soak: dict[str, Any]) -> dict[str, Any]:
    """Return what two months of operation saw, and what came of them."""
    counted = {
        "runs of the flow": soak["runs"],
        "runs that were killed": soak["killed_runs"],
        "runs that failed": soak["failed_runs"],
        "maps published": soak["published"],
        "revisions of maps, a provisional one made final among them": soak["remade"],
        "gaps, accepted": soak["gaps"],
        "maps that differ from those of a site without faults": len(soak["differing"]),
    }
    return {
        "soak_days": soak["days"],
        "soak_seed": soak["seed"],
        "soak_minutes": soak["minutes"],
        "soak_events": ", ".join(
            f"{number} {name.replace('_', ' ')}" for name, number in sorted(soak["events"].items())
        ),
        "soak_table": table(("", ""), ((name, str(n)) for name, n in counted.items())),
    }


def page(found: Path = FOUND) -> str:
    """Return the whole page, of the results in a folder."""
    replay, regridding, day = (read(name, found) for name in ("replay", "regridding", "one_day"))
    return TEMPLATE.read_text().format(
        replay_table=replay_table(replay),
        **replay["cost"],
        **backfill_tables(read("backfill", found)),
        reading_table=reading_table(read("reading", found)),
        regridding_table=table(
            ("", "s"), ((name, f"{s:.2f}") for name, s in regridding["seconds"].items())
        ),
        times_xarray_regrid=regridding["times as fast as xarray-regrid"],
        times_rioxarray=regridding["times as fast as rioxarray"],
        errors=", ".join(f"{n} {e:.0e}" for n, e in regridding["conservation error"].items()),
        cells=day["cells"],
        granules=day["granules"],
        day=day["seconds of the day"],
        floor=day["seconds of the floor"],
        ratio=day["day / floor"],
        read=day["of which read and inflate"],
        products=day["of which matrix products"],
        gflop=day["gflop of the products"],
        rate=day["gflop/s of the square sgemm"],
        write=day["of which write"],
        memory=day["peak memory, GiB"],
        **many_days_table(read("many_days", found)),
        **idle_tables(read("idle_run", found)),
        **soak_tables(read("soak", found)),
        **inference_tables(read("inference", found)),
        **training_tables(read("training", found)),
        **second_tables(read("second_source", found)),
        **global_tables(read("global_day", found)),
        **memory_tables(read("carried_state", found)),
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()

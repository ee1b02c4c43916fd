"""Whether a product is still produced: a discontinued version looks like latency at first."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from msm.pipeline.run import midnight
from msm.products.product import Product
from msm.sources.granule import Granule

STOPPED_REMEDY = (
    "see status.earthdata.nasa.gov; if this version has been discontinued, add its successor"
    " (docs/operations/inputs.md)"
)


def discontinued(
    product: Product, offered: Sequence[Granule], first: date, now: datetime
) -> str | None:
    """Return since when a product has had no new granule; None where latency may explain it.

    Parameters
    ----------
    product
        A product whose latency is known.
    offered
        Its granules of the days from `first` on.
    first
        UTC day.
    now
        The present time, UTC.

    Returns
    -------
    str or None
        As in "nothing has come after 2016-06-03".
    """
    days = [granule.time.date() for granule in offered if granule.time]
    missing = max(days) + timedelta(days=1) if days else first
    if now <= midnight(missing) + timedelta(days=1 + product.layout.latency.retry_days):
        return None
    return f"nothing has come {f'after {max(days)}' if days else f'since {first}'}"

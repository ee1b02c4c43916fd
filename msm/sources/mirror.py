"""A local folder of granules instead of Earthdata, for a site without a network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msm.errors import MsmError
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers
from msm.sources.granule import Fetched, Granule, GranuleFile, verify


class Mirror:
    """Granules in a folder and its subfolders."""

    def __init__(self, folder: Path, readers: Readers) -> None:
        if not folder.is_dir():
            raise MsmError(f"The mirror {folder} is not a folder: set MSM_MIRROR to one.")
        self._readers = readers
        self._paths = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}

    def search(self, product: Product, start: datetime, end: datetime) -> list[Granule]:
        """List the granules of a product with `start` <= time <= `end`; all of a static one."""
        layout = product.layout
        found = []
        for name, path in self._paths.items():
            if not layout.matches(name):
                continue
            time = layout.time_of(name)
            if time is None or start <= time <= end:
                release, counter = layout.production_of(name)
                found.append(
                    Granule(
                        product=layout.product,
                        version=layout.version,
                        name=name,
                        time=time,
                        size=path.stat().st_size,
                        release=release,
                        counter=counter,
                        source="mirror",
                    )
                )
        return found

    def fetch(self, product: Product, granules: Sequence[Granule]) -> Fetched:
        """Check the files in place; nothing is copied."""
        refused = {}
        hashes = {}
        for granule in granules:
            try:
                hashes[granule.name] = verify(self._paths[granule.name], granule)
            except GranuleError as error:
                refused[granule.name] = str(error)
        problems = self._readers.problems(product, [self._paths[name] for name in hashes])
        refused |= {path.name: sentence for path, sentence in problems.items()}
        return Fetched(
            files=tuple(
                GranuleFile(g, self._paths[g.name], g.size or 0, hashes[g.name])
                for g in granules
                if g.name not in refused
            ),
            refused=refused,
        )

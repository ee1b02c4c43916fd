"""The settings of msm: environment variables `MSM_*`, then `msm.toml` in the working folder."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from msm.errors import MsmError
from msm.frozen import FrozenModel


class Limits(FrozenModel):
    """Limits of a map, m3 m-3 where they are soil moisture: `MSM_LIMITS`."""

    valid_fraction: float = Field(0.95, ge=0, le=1)
    """Least share of the cells with a value; a map with less is withheld."""
    outside_training: float = Field(0.2, ge=0, le=1)
    """Share of the cells with an input outside the range of the training."""
    step: float = Field(0.06, gt=0)
    """Root-mean-square difference from the day before."""
    satellite_bias: float = Field(0.1, gt=0)
    """Mean difference from that day's SMAP, either way."""
    satellite_ubrmse: float = Field(0.12, gt=0)
    satellite_correlation: float = Field(0.2, ge=-1, le=1)
    """Least correlation, where SMAP has `satellite_cells` or more."""
    satellite_cells: int = Field(1000, ge=2)


class Settings(BaseSettings):
    """All settings of an operator; read once and passed down."""

    model_config = SettingsConfigDict(
        env_prefix="MSM_", toml_file="msm.toml", frozen=True, extra="forbid"
    )

    work: Path = Path("work")
    """Folder of granules, forcing, statics and states."""
    archive: Path = Path("archive")
    """Folder that is published."""
    archive_url: str | None = None
    """Address under which downloaders reach the archive, for links in reports."""
    domain: str = "conus"
    """`conus`, `global`, or `box:SOUTH,NORTH,WEST,EAST`."""
    checkpoint: Path | None = None
    """Card of a checkpoint, or a folder of checkpoints whose `current.json` names the one in use.

    By default the shipped one.
    """
    spin_up_days: Annotated[int, Field(ge=0, le=3660)] = 365
    """Days that a new chain runs before its first product; younger states are flagged."""
    state_days: Annotated[int, Field(ge=1)] = 14
    """Days before the newest whose states are all kept: each can be run again in one step.

    With fewer, a late input costs the steps from the anchor before it.
    """
    anchor_days: Annotated[int, Field(ge=1)] = 32
    """Days from one kept state to the next, further back.

    Fewer take more disk; with more, a replay of an old day begins further back.
    """
    replay_days: Annotated[int, Field(ge=0)] = 14
    """Days before a day that its run replays where their inputs have changed; `msm status` lists
    earlier changes, and `msm backfill` replays them."""
    window_days: Annotated[int, Field(ge=1)] = 14
    """Days, up to the newest that is due, whose inputs every scheduled run compares with what is
    offered by now."""
    deep_days: Annotated[int, Field(ge=1)] = 45
    """The same for the first run of a UTC day: long enough for maps to become final."""
    gaps: dict[date, str] = Field(default_factory=dict)
    """Accepted gaps: days that no source will ever have, and why. They get no map, and are still
    tried. Days after a gap that is not listed wait for it.
    """
    granule_days: Annotated[int, Field(ge=1)] = 30
    """Days before the newest whose granules `msm prune` keeps, besides those that may be revised.

    With fewer, a day whose forcing is made again is downloaded again; no map is lost.
    """
    forcing_days: Annotated[int, Field(ge=1)] | None = None
    """Days before the newest whose stored forcing `msm prune` keeps; all by default.

    With fewer than the spin-up, a new checkpoint has to download its first year again.
    """
    chain_days: Annotated[int, Field(ge=1)] = 90
    """Days for which `msm prune` keeps, after the last write, files of another checkpoint or mask.

    With fewer, going back to that checkpoint costs a spin-up sooner.
    """
    disk_margin_gb: Annotated[float, Field(ge=0)] = 20.0
    """Free space of the disks of the work folder and the archive below which `msm doctor` warns."""
    token_margin_days: Annotated[float, Field(ge=0)] = 7.0
    """Days before the expiry of a token from which `msm doctor` warns."""
    webhook_url: SecretStr | None = None
    """Address to which failed runs are posted, as ``{"text": ...}``."""
    limits: Limits = Limits()
    """Limits of a map: one that exceeds them is flagged, or withheld from `latest.json`."""
    statics_day: date = date(2015, 7, 1)
    """First of the eight days whose SMAP granules give the vegetation water content."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "float16"] = "float32"
    """Arithmetic of the LSTM on CUDA; the CPU always takes float32."""

    mirror: Path | None = None
    """Folder of granules to read instead of Earthdata, for a site without a network."""
    cmr_url: str = "https://cmr.earthdata.nasa.gov/search/"
    """Base of the Common Metadata Repository's search API."""
    edl_host: str = "urs.earthdata.nasa.gov"
    """Host of Earthdata Login."""
    connections: Annotated[int, Field(ge=1, le=32)] = 8
    """Largest number of downloads at a time; a product's layout may allow fewer."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest silence of a server before a request is tried again."""
    readers: Annotated[int, Field(ge=1)] = 2
    """Processes that read granules."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, msm.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings(**overrides: object) -> Settings:
    """Read the settings, `overrides` (from the command line) first where they are not None.

    Raises
    ------
    MsmError
        If a value is not valid or a name is unknown; the sentence names it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise MsmError(
            f"Setting {name} (MSM_{name.upper()} or msm.toml) is not valid: {first['msg']}."
        ) from None

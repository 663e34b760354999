"""Units of measure and their conversion.

Belongs here: the table of units and the linear conversions between units of one dimension. Does not belong
here: currencies of geographies (their rate is in geographies.yaml).
"""

from __future__ import annotations

from dataclasses import dataclass

from mlops_assets.domain.errors import ConfigError


@dataclass(frozen=True)
class Unit:
    """`value in base = value * factor + offset`; units of one dimension convert into each other."""

    dimension: str
    factor: float
    offset: float = 0.0


UNITS: dict[str, Unit] = {
    "byte": Unit("volume", 1 / 1024),
    "KB": Unit("volume", 1.0),
    "MB": Unit("volume", 1024.0),
    "GB": Unit("volume", 1024.0 * 1024.0),
    "second": Unit("duration", 1.0),
    "minute": Unit("duration", 60.0),
    "hour": Unit("duration", 3600.0),
    "day": Unit("duration", 86_400.0),
    "usd_cent": Unit("money", 1.0),
    "usd": Unit("money", 100.0),
    "celsius": Unit("temperature", 1.0),
    "fahrenheit": Unit("temperature", 5 / 9, -160 / 9),
    "share": Unit("share", 1.0),
    "percent": Unit("share", 0.01),
    "count": Unit("count", 1.0),
}


def linear_conversion(source: str, target: str) -> tuple[float, float]:
    """Return (factor, offset) with `target = source * factor + offset`.

    Raises:
        ConfigError: a unit is unknown or the two measure different things; name another unit.
    """
    try:
        a, b = UNITS[source], UNITS[target]
    except KeyError as error:
        raise ConfigError(f"unknown unit {error}", expected=", ".join(sorted(UNITS))) from error
    if a.dimension != b.dimension:
        raise ConfigError(
            f"{source} ({a.dimension}) cannot become {target} ({b.dimension})",
            remedy="correct the unit in the feed's YAML",
        )
    return a.factor / b.factor, (a.offset - b.offset) / b.factor

"""Public holidays of a country.

Belongs here: looking them up. Does not belong here: what they do to traffic (forecasters).
"""

from __future__ import annotations

import datetime as dt

from mlops_assets.domain.errors import ConfigError

NO_HOLIDAYS = "none"


def find_holidays(country: str, first_day: dt.date, last_day: dt.date) -> frozenset[dt.date]:
    """Return the public holidays from one day to another, both included.

    Args:
        country: ISO 3166 alpha-2 code; empty or `none` for none.
        first_day: local day.
        last_day: local day.

    Raises:
        ConfigError: the country is unknown; correct `holidays_country`.
    """
    if country in {"", NO_HOLIDAYS}:
        return frozenset()
    import holidays

    try:
        years = range(first_day.year, last_day.year + 1)
        found = holidays.country_holidays(country, years=years)
    except NotImplementedError as error:
        raise ConfigError(
            f"no holidays are known of {country!r}",
            where="forecast.holidays_country, or the geography's country",
            expected="an ISO 3166 country code such as CL, or nothing",
        ) from error
    return frozenset(day for day in found if first_day <= day <= last_day)


def known_countries() -> frozenset[str]:
    """Return the ISO 3166 alpha-2 codes of all countries whose holidays are known."""
    import holidays

    return frozenset(holidays.list_supported_countries(include_aliases=True))

"""The contract of a feed: what the operator delivers, and what the platform makes of it.

Belongs here: the typed contract and the geography it is applied to, with the checks that need no other
file. Does not belong here: reading YAML (mlops_assets.config), validating a delivered file (metadata) or
translating it (homologation).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from mlops_assets.domain.feeds.time_format import parse_time_format
from mlops_assets.domain.feeds.units import UNITS
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.quality.gate_spec import GateSpec

ColumnType = Literal["integer", "decimal", "text", "boolean", "date", "timestamp"]
Merge = Literal["sum", "max", "min", "mean", "count", "increase"]
FileFormat = Literal["parquet", "csv"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_ .+-]{0,62}$")]
# What Dagster takes as an owner of assets.
Owner = Annotated[str, Field(pattern=r"^(team:[a-z][a-z0-9-]{0,60}|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
GeographyCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")]


def _require_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: `America` is a folder
        raise ValueError(f"unknown time zone {zone!r}; use an IANA name such as America/Lima") from error
    return zone


def _require_day_only(pattern: str) -> str:
    rest = pattern.replace("{day}", "", 1)
    if "{" in rest or "}" in rest or ".." in pattern:
        raise ValueError("the only placeholder is {day}, once; `..` is refused")
    return pattern


TimeZone = Annotated[str, AfterValidator(_require_zone)]
CountryCode = Annotated[str, Field(pattern=r"^([A-Z]{2})?$")]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
FilePattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.{}-]{1,120}$"), AfterValidator(_require_day_only)]


class ColumnContract(Record):
    """One column: the operator's name and unit, ours, and what is acceptable.

    `unit` is ours, `source_unit` the operator's where all rows share it, `source_unit_column` the source
    column that names the unit row by row. `minimum` and `maximum` are in our unit, inclusive. `values`
    maps the operator's codes to ours; `code_map: plan` applies the geography's plan codes. `timezone`
    says whether a timestamp is delivered in UTC or in the geography's local time; it is kept in UTC. `format`
    says how texts of a date or timestamp are written where they are not ISO, e.g. `%d/%m/%Y` (see
    feeds.time_format); typed columns of a Parquet file need none. `merge` says how rows of the same grain are merged.

    Attributes:
        name: ours.
        source: the operator's name.
        type: what the column holds; `timestamp` is kept in UTC.
        description: what the value means, for people.
        nullable: whether a row without a value is acceptable.
        allowed: the values of ours that are acceptable; empty for any.
    """

    name: Name
    source: SourceName
    type: ColumnType
    description: str = ""
    unit: str | None = None
    source_unit: str | None = None
    source_unit_column: SourceName | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: list[str] = []
    values: dict[str, str] = {}
    code_map: Literal["plan"] | None = None
    timezone: Literal["utc", "local"] = "utc"
    format: str | None = None
    merge: Merge | None = None

    @model_validator(mode="after")
    def _units_known(self) -> ColumnContract:
        for unit in (self.unit, self.source_unit):
            if unit is not None and unit not in UNITS and unit != "local_currency":
                raise ValueError(f"unknown unit {unit!r}; known: {', '.join(sorted(UNITS))}")
        if (self.source_unit or self.source_unit_column) and self.unit is None:
            raise ValueError("a source unit needs `unit`, the one we keep")
        if self.source_unit and self.source_unit_column:
            raise ValueError("a unit is named by either `source_unit` or `source_unit_column`")
        limits = (self.minimum, self.maximum)
        if self.type not in ("integer", "decimal") and (self.unit or limits != (None, None)):
            raise ValueError("units and ranges are for integer and decimal columns")
        return self

    @model_validator(mode="after")
    def _codes_fit_type(self) -> ColumnContract:
        if self.type != "text" and (self.allowed or self.code_map):
            raise ValueError("`allowed` and `code_map` are for text columns")
        if self.type not in ("text", "boolean") and self.values:
            raise ValueError("`values` are for text and boolean columns")
        return self

    @model_validator(mode="after")
    def _format_known(self) -> ColumnContract:
        self.require_format(self.format)
        return self

    def require_format(self, written: str | None) -> None:
        """Raise ValueError if texts of this column cannot be written so."""
        if written is None:
            return
        if self.type not in ("date", "timestamp"):
            raise ValueError(f"`format` is for date and timestamp columns, and {self.name} is {self.type}")
        parse_time_format(written, self.type)


class ColumnOverride(Record):
    """What differs in one geography's delivery of a column.

    Attributes:
        source: the operator's name in this geography.
        source_unit: the operator's unit in this geography.
        source_unit_column: the column that names the unit row by row in this geography.
        values: the operator's codes in this geography to ours.
        timezone: whether timestamps are in UTC or local in this geography.
        format: how dates and timestamps are written in this geography.
    """

    source: SourceName | None = None
    source_unit: str | None = None
    source_unit_column: SourceName | None = None
    values: dict[str, str] | None = None
    timezone: Literal["utc", "local"] | None = None
    format: str | None = None


class FeedOverride(Record):
    """What differs in one geography's delivery of a feed.

    Attributes:
        file_pattern: of the files in this geography.
        format: `parquet` or `csv`, in this geography.
        delimiter: of CSV files in this geography.
        columns: what differs in a column, by our name of it.
    """

    file_pattern: FilePattern | None = None
    format: FileFormat | None = None
    delimiter: Literal[",", ";", "|", "\t"] | None = None
    columns: dict[Name, ColumnOverride] = {}


class FeedContract(Record):
    """A feed by contract.

    `cadence`: `daily` feeds have one file per day and geography, `snapshot` feeds one file that replaces
    the former. `file_pattern` holds `{day}` (YYYYMMDD) for daily feeds. `key` identifies a record; of
    several with the same key the one with the greatest `latest_by` stays. `record_id` names a text column that is
    added: the MD5 of the key, for records whose key is more than one column. `day_column` must fall on the
    file's day, or up to `late_days_max` days before; a file with a larger share of other days than
    `off_day_share_max` is refused. Above `quarantine_share_max` bad rows, the file is refused as a whole.
    `grain` (with `merge` on the other columns) makes the feed a daily partial; `merge: increase` adds up the rises
    of a cumulative counter in order of time, the reading after a reset counting from zero. `gate` says when a file that
    satisfies all this is held, because its history says that it is wrong.

    Attributes:
        name: of the feed; its table is `feeds/NAME`.
        description: what a row is, for people.
        owner: team or mail address that answers for the feed.
        format: `parquet` or `csv`.
        delimiter: between the fields of a CSV line.
        arrival_deadline_hours: from the start of a day until its file is late.
        min_rows: a delivery with fewer is refused.
        max_bytes: a larger file is refused unread.
        max_rows: a file with more is refused before its rows are read.
        columns: every column of the file that is used.
        geographies: what differs in a geography, by its code.
    """

    name: Name
    description: str
    owner: Owner
    cadence: Literal["daily", "snapshot"] = "daily"
    format: FileFormat = "parquet"
    delimiter: Literal[",", ";", "|", "\t"] = ","
    file_pattern: FilePattern
    arrival_deadline_hours: int = Field(30, ge=1, le=24 * 30)
    min_rows: int = Field(1, ge=0)
    max_bytes: int = Field(20_000_000_000, ge=1)
    max_rows: int = Field(2_000_000_000, ge=1)  # a small file can hold any number of equal rows
    key: list[Name] = Field(min_length=1)
    record_id: Name | None = None
    latest_by: Name | None = None
    day_column: Name | None = None
    late_days_max: int = Field(0, ge=0, le=30)
    off_day_share_max: float = Field(0.05, ge=0.0, le=1.0)
    quarantine_share_max: float = Field(0.2, ge=0.0, le=1.0)
    grain: list[Name] = []
    gate: GateSpec = GateSpec()
    columns: list[ColumnContract] = Field(min_length=1)
    geographies: dict[GeographyCode, FeedOverride] = {}

    @model_validator(mode="after")
    def _consistent(self) -> FeedContract:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("a column is named twice")
        for field, wanted in (("key", self.key), ("grain", self.grain)):
            if missing := sorted(set(wanted) - set(names)):
                raise ValueError(f"`{field}` names unknown columns {missing}")
        for field, column in (("latest_by", self.latest_by), ("day_column", self.day_column)):
            if column is not None and column not in names:
                raise ValueError(f"`{field}` names the unknown column {column!r}")
        overridden = [one.file_pattern for one in self.geographies.values() if one.file_pattern]
        if any((self.cadence == "daily") != ("{day}" in one) for one in (self.file_pattern, *overridden)):
            raise ValueError("daily feeds, and only they, have {day} in `file_pattern`")
        for option in ("ignored_columns", "emptiable_columns"):
            if missing := sorted(set(getattr(self.gate, option)) - set(names)):
                raise ValueError(f"`gate.{option}` names unknown columns {missing}")
        if self.record_id is not None and (self.record_id in names or self.grain):
            raise ValueError("`record_id` names a new column, and goes without `grain`")
        self._check_days()
        self._check_merges()
        self._check_formats()
        return self

    def _check_days(self) -> None:
        """A snapshot lies in no geography and has no day in its name: nothing says what is local or late."""
        if self.cadence != "snapshot":
            return
        if self.day_column is not None:
            raise ValueError("a snapshot has no day: leave out `day_column`")
        if any(column.timezone == "local" for column in self.columns):
            raise ValueError("a snapshot has no day: leave out `timezone: local`, its timestamps are in UTC")
        if self.geographies:
            raise ValueError("a snapshot is one file of no geography: leave out `geographies`")

    def _check_merges(self) -> None:
        wanted = set() if not self.grain else {c.name for c in self.columns} - set(self.grain)
        merged = {c.name for c in self.columns if c.merge}
        dropped = {self.day_column, self.latest_by, *self.key}
        if not merged <= wanted or not wanted - dropped <= merged:
            raise ValueError("with `grain`, every other column needs `merge` (and only then)")
        counters = [c for c in self.columns if c.merge == "increase"]
        if counters and (self.day_column is None or any(c.type == "text" for c in counters)):
            raise ValueError("`merge: increase` is for numbers, and orders readings by `day_column`")

    def _check_formats(self) -> None:
        columns = {column.name: column for column in self.columns}
        for override in self.geographies.values():
            for name, changed in override.columns.items():
                if name in columns:  # an unknown name is told by the checks across files, with its line
                    columns[name].require_format(changed.format)

    def column(self, name: str) -> ColumnContract:
        """Return the column of this name; KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]

    def for_geography(self, chain: list[str]) -> FeedContract:
        """Apply the first override found along `chain` (a geography and those it is `like`)."""
        override = next((self.geographies[g] for g in chain if g in self.geographies), None)
        if override is None:
            return self.model_copy(update={"geographies": {}})
        changes = override.model_dump(exclude_none=True, exclude={"columns"})
        columns = [self._overridden(c, override.columns.get(c.name)) for c in self.columns]
        return self.model_copy(update={**changes, "columns": columns, "geographies": {}})

    @staticmethod
    def _overridden(column: ColumnContract, override: ColumnOverride | None) -> ColumnContract:
        if override is None:
            return column
        changes = override.model_dump(exclude_none=True)
        # One way to name the unit replaces the other.
        if {"source_unit", "source_unit_column"} & set(changes):
            changes = {"source_unit": None, "source_unit_column": None, **changes}
        return column.model_copy(update=changes)

    def file_name(self, day: dt.date | None) -> str:
        """Return the operator's file name for a day (None for snapshots)."""
        return self.file_pattern.replace("{day}", f"{day:%Y%m%d}" if day else "")


class Geography(Record):
    """Where an operator works. `usd_per_unit` turns one unit of local currency into US dollars.

    `country` is the ISO 3166 code whose public holidays move usage; empty means that none are known.

    `like` names a geography whose feed overrides and plan codes this one takes over. `plan_codes` maps the
    local plan codes to ours.
    """

    code: GeographyCode
    name: str
    timezone: TimeZone
    currency: CurrencyCode
    country: CountryCode = ""
    usd_per_unit: float = Field(gt=0.0)
    like: GeographyCode | None = None
    plan_codes: dict[str, Name] = {}
    use_cases: list[Name] = []

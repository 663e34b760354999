"""The feed gate: whether a delivery can be what it says, given the healthy deliveries before it.

Belongs here: choosing what to compare with, and the verdict with its reasons. Does not belong here: counting
a file (feed_profile), what becomes of a held one (feeds.landing), drift of behaviour (drift).

The gate looks for faults of files, not for unusual days: it compares rates as well as counts, and people may
do two or three times as much as before without being held.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.quality.feed_profile import (
    FEWEST_VALUES,
    OTHERS,
    PROFILE_VERSION,
    FeedProfile,
    NumberProfile,
    dimension,
    is_shaped,
    number_columns,
    segment_columns,
)
from mlops_assets.domain.quality.gate_spec import GateSpec

if TYPE_CHECKING:
    from mlops_assets.domain.quality.unit_faults import UnitFault

HealthStatus = Literal["healthy", "broken", "unknown"]
Reason = Literal[
    "row_count_low",
    "row_count_high",
    "duplicates",
    "copy_of_earlier_day",
    "unit_factor",
    "usage_without_sessions",
    "segment_missing",
    "nulls_as_zeros",
    "column_emptied",
]
# Counts below are chance: so many standard deviations, and so many rows of a segment.
_DEVIATIONS, _FEWEST_ROWS = 4.0, 20
_SEGMENT_SHARE_MIN, _SEGMENT_LEFT_MAX = 0.01, 0.1
_NULL_SHARE_MIN, _NULLS_LEFT_MAX, _NULLS_FOUND_MIN = 0.01, 0.2, 0.7
_POSITIVES_LEFT_MAX = 0.4
_RECENT_DAYS = 7
# A factor this near to another cannot be told from it by the data alone.
_NEAR = 0.05


class GateFinding(Record):
    """One reason to hold a delivery. `column` is empty where the whole file is concerned."""

    reason: Reason
    column: str = ""
    text: str


class FeedHealth(Record):
    """The verdict on one delivery.

    Attributes:
        status: `unknown` lets the delivery pass, like `healthy`.
        findings: why it is broken, or, if a person released it, why it had been held.
        suspected_factor: delivered values are so many times what they should be, if a unit is suspected.
        reference_days: the days it was compared with.
        note: how the verdict came about, in one sentence.
        released_by: who decided that it is right after all; empty for the gate's own verdicts.
    """

    status: HealthStatus
    findings: tuple[GateFinding, ...] = ()
    suspected_factor: float | None = None
    reference_days: tuple[dt.date, ...] = ()
    note: str = ""
    released_by: str = ""


@dataclass(frozen=True)
class PastDelivery:
    """A delivery that was used: its day, its profile, and whether a person had released it."""

    day: dt.date
    profile: FeedProfile
    is_released: bool = False


@dataclass(frozen=True)
class _Comparison:
    """One delivery beside those it is compared with."""

    contract: FeedContract
    delivery: FeedProfile
    references: tuple[PastDelivery, ...]

    @property
    def gate(self) -> GateSpec:
        return self.contract.gate

    @property
    def days(self) -> tuple[dt.date, ...]:
        return tuple(sorted(past.day for past in self.references))

    def usual(self, figure: Callable[[FeedProfile], float]) -> float:
        """Return the median of a figure over the references."""
        return statistics.median(figure(past.profile) for past in self.references)

    def usual_of(self, column: str, figure: Callable[[NumberProfile], float]) -> float:
        """Return the median of a figure of one column over the references."""
        return self.usual(lambda profile: figure(profile.numbers.get(column, NumberProfile())))

    def columns(self) -> list[ColumnContract]:
        """Return the numeric columns to be judged."""
        return [c for c in number_columns(self.contract) if self._is_judged(c)]

    def segments(self) -> list[ColumnContract]:
        """Return the text columns to be judged."""
        return [c for c in segment_columns(self.contract) if self._is_judged(c)]

    def _is_judged(self, column: ColumnContract) -> bool:
        return column.name not in self.gate.ignored_columns


def past_days(day: dt.date, history_days: int) -> list[dt.date]:
    """Return the days whose deliveries a delivery may be compared with: the last seven and the same weekdays."""
    recent = range(1, _RECENT_DAYS)
    weekdays = range(7, history_days + 1, 7)
    return [day - dt.timedelta(days=back) for back in (*recent, *weekdays)]


def judge_delivery(
    contract: FeedContract, day: dt.date, profile: FeedProfile, history: Sequence[PastDelivery]
) -> FeedHealth:
    """Return the verdict on a delivery.

    Args:
        contract: contract of one geography (`for_geography` applied), with its gate.
        day: day of the delivery.
        profile: of the delivery.
        history: earlier deliveries that were used, of `past_days`; later ones are left out here.

    Returns:
        `unknown` where the gate is off or the history too short, though a plain copy is recognised at once. A
        delivery that looks broken is healthy all the same if it is like those since a person last released
        one: what was released is the new normal.
    """
    past = sorted((p for p in history if _is_history(p, day, contract.gate)), key=lambda p: p.day)
    if not contract.gate.is_enabled:
        return FeedHealth(status="unknown", note="the gate of this feed is switched off")
    health = _compare(contract, profile, past, select_references(day, past, contract.gate))
    released = [p for p in past if p.is_released]
    if health.status != "broken" or not released or released[-1] is past[0]:
        return health
    since = tuple(p for p in past if p.day >= released[-1].day)
    like_released = _compare(contract, profile, past, since)
    note = f"unlike the weeks before, but like what was released for {released[-1].day}"
    return like_released.model_copy(update={"note": note}) if like_released.status == "healthy" else health


def select_references(
    day: dt.date, history: Sequence[PastDelivery], gate: GateSpec
) -> tuple[PastDelivery, ...]:
    """Return the deliveries to compare with: those of the same weekday, or the latest if these are too few."""
    same_weekday = [p for p in history if p.day.weekday() == day.weekday()]
    if len(same_weekday) >= gate.history_deliveries_min:
        return tuple(same_weekday)
    latest = sorted(history, key=lambda p: p.day)[-max(_RECENT_DAYS, gate.history_deliveries_min) :]
    return tuple(latest) if len(latest) >= gate.history_deliveries_min else ()


def _is_history(past: PastDelivery, day: dt.date, gate: GateSpec) -> bool:
    is_near = 0 < (day - past.day).days <= gate.history_days
    return is_near and past.profile.version == PROFILE_VERSION


def _compare(
    contract: FeedContract,
    profile: FeedProfile,
    past: Sequence[PastDelivery],
    references: tuple[PastDelivery, ...],
) -> FeedHealth:
    comparison = _Comparison(contract, profile, references)
    findings = list(_copies(comparison, past))
    unit: UnitFault | None = None
    if references:
        units = list(_unit_faults(comparison))
        unit = units[0] if units else None
        findings += [_unit_finding(comparison, fault) for fault in units]
        for rule in _RULES:
            findings += rule(comparison)
    if findings:
        return FeedHealth(
            status="broken",
            findings=tuple(findings),
            suspected_factor=unit.factor if unit else None,
            reference_days=comparison.days,
            note=f"{len(findings)} of the gate's rules are broken",
        )
    if not references:
        found, needed = len(past), contract.gate.history_deliveries_min
        note = f"too little history: {found} of {needed} earlier deliveries; passed unjudged"
        return FeedHealth(status="unknown", note=note)
    note = f"like {len(references)} earlier deliveries"
    return FeedHealth(status="healthy", reference_days=comparison.days, note=note)


def _copies(comparison: _Comparison, past: Sequence[PastDelivery]) -> Iterator[GateFinding]:
    """Equal counts and totals in every column: the same file again, whatever its name says."""
    today = comparison.delivery
    if comparison.gate.may_repeat or today.row_count < _FEWEST_ROWS or not today.numbers:
        return
    content = today.content
    for earlier in sorted(past, key=lambda p: p.day, reverse=True):
        if earlier.profile.content == content:
            text = f"all counts and totals are those of {earlier.day}: that day's content under another name"
            yield GateFinding(reason="copy_of_earlier_day", text=text)
            return


def _row_counts(comparison: _Comparison) -> Iterator[GateFinding]:
    """Far fewer or more rows than usual, beyond chance and, on other weekdays, beyond every one of them."""
    rows, gate = comparison.delivery.row_count, comparison.gate
    usual = comparison.usual(lambda p: p.row_count)
    is_mixed = len({day.weekday() for day in comparison.days}) > 1
    seen = [past.profile.row_count for past in comparison.references] if is_mixed else []
    if abs(rows - usual) <= _DEVIATIONS * math.sqrt(rows + usual):
        return
    if rows < gate.rows_ratio_min * min([usual, *seen]):
        text = f"{rows} rows, usually {usual:.0f}; expected at least {gate.rows_ratio_min:.0%}"
        yield GateFinding(reason="row_count_low", text=text)
    if gate.rows_ratio_max is not None and rows > gate.rows_ratio_max * max([usual, *seen]):
        text = f"{rows} rows, usually {usual:.0f}; expected at most {gate.rows_ratio_max:.0%}"
        yield GateFinding(reason="row_count_high", text=text)


def _duplicates(comparison: _Comparison) -> Iterator[GateFinding]:
    share, usual = comparison.delivery.duplicate_share, comparison.usual(lambda p: p.duplicate_share)
    if (
        comparison.delivery.row_count >= _FEWEST_ROWS
        and share > usual + comparison.gate.duplicate_share_rise_max
    ):
        text = f"{share:.1%} of the delivered rows are duplicates, usually {usual:.1%}"
        yield GateFinding(reason="duplicates", text=text)


def _unit_faults(comparison: _Comparison) -> Iterator[UnitFault]:
    from mlops_assets.domain.quality.unit_faults import find_unit_fault

    by_dimension: dict[str, list[str]] = {}
    for column in comparison.columns():
        if is_shaped(column):
            by_dimension.setdefault(dimension(column), []).append(column.name)
    for names in by_dimension.values():
        today, *references = (
            {name: profile.numbers[name] for name in names if name in profile.numbers}
            for profile in (comparison.delivery, *(past.profile for past in comparison.references))
        )
        gate = comparison.gate
        fault = find_unit_fault(today, references, gate.unit_factors, gate.unit_share_min)
        if fault is not None:
            yield fault


def _unit_finding(comparison: _Comparison, fault: UnitFault) -> GateFinding:
    base = max(fault.factor, 1.0 / fault.factor)
    near = [f for f in comparison.gate.unit_factors if f != base and abs(math.log(f / base)) < _NEAR]
    sign = "" if fault.factor > 1 else "1/"
    names = " or ".join(f"{sign}{factor:g}" for factor in (base, *near))
    more = f" and {len(fault.columns) - 1} more columns" if len(fault.columns) > 1 else ""
    text = (
        f"{fault.columns[0]}{more}: about {fault.share:.0%} of the values are {names} times the usual, their "
        f"spread unchanged; {fault.unexplained_by_behaviour:.0%} of them cannot be people's behaviour. "
        "Suspected: values in another unit than their label says"
    )
    return GateFinding(reason="unit_factor", column=fault.columns[0], text=text)


def _levels(comparison: _Comparison) -> Iterator[GateFinding]:
    """Much more or less per record than usual: people do more things before they do things four times as big."""
    most = comparison.gate.level_factor_max
    usual_sessions = comparison.usual(lambda p: p.records_per_entity)
    if most is None or usual_sessions <= 0:
        return
    sessions = comparison.delivery.records_per_entity / usual_sessions
    for column in filter(is_shaped, comparison.columns()):
        today = comparison.delivery.numbers[column.name]
        usual = comparison.usual_of(column.name, lambda n: n.mean_of_positives)
        if not _has_values(comparison, column.name) or usual <= 0:
            continue
        ratio = today.mean_of_positives / usual
        if not 1 / most <= ratio / max(sessions, 1e-9) <= most:
            text = (
                f"{column.name}: its mean is {_three_digits(ratio)} times the usual while records of each are "
                f"{_three_digits(sessions)} times the usual; expected at most {most:g} times"
            )
            yield GateFinding(reason="usage_without_sessions", column=column.name, text=text)


def _three_digits(factor: float) -> str:
    """Return a factor to three digits, without exponent: 0.982, 4.56, 1,050."""
    return f"{float(f'{factor:.3g}'):,.10g}"


def _has_values(comparison: _Comparison, column: str) -> bool:
    today = comparison.delivery.numbers[column].positive_count
    return min(today, comparison.usual_of(column, lambda n: n.positive_count)) >= FEWEST_VALUES


def _missing_segments(comparison: _Comparison) -> Iterator[GateFinding]:
    """A plan, region or other value that always had its share of the rows and has (nearly) none."""
    today = comparison.delivery
    for column in comparison.segments():
        counts = today.segments.get(column.name)
        if counts is None:
            continue
        known = {v for past in comparison.references for v in past.profile.segments.get(column.name, {})}
        for value in sorted(known - {OTHERS}):
            expected = _expected_rows(comparison, column.name, value)
            if counts.get(value, 0) < _SEGMENT_LEFT_MAX * expected:
                text = f"{column.name} {value}: {counts.get(value, 0)} rows, expected about {expected:.0f}"
                yield GateFinding(reason="segment_missing", column=column.name, text=text)


def _expected_rows(comparison: _Comparison, column: str, value: str) -> float:
    """Return the rows that a value should have today; 0 where it is rare, or too few rows say what is usual."""
    seen = [past.profile.segments.get(column, {}).get(value, 0) for past in comparison.references]
    rows = [max(past.profile.row_count, 1) for past in comparison.references]
    share = statistics.median(n / of for n, of in zip(seen, rows, strict=True))
    expected = share * comparison.delivery.row_count
    is_usual = share >= _SEGMENT_SHARE_MIN and min(expected, statistics.median(seen)) >= _FEWEST_ROWS
    return expected if is_usual else 0.0


def _filled_nulls(comparison: _Comparison) -> Iterator[GateFinding]:
    """Missing values are gone, and as many zeros (or rows in quarantine, where 0 is not allowed) appeared."""
    today = comparison.delivery
    quarantined = today.quarantined_share - comparison.usual(lambda p: p.quarantined_share)
    for column in comparison.columns():
        number = today.numbers[column.name]
        usual_nulls = comparison.usual_of(column.name, lambda n: n.null_share)
        expected = min(
            usual_nulls * today.row_count, comparison.usual_of(column.name, lambda n: n.null_count)
        )
        if usual_nulls < _NULL_SHARE_MIN or expected < _FEWEST_ROWS:
            continue
        zeros = number.zero_share - comparison.usual_of(column.name, lambda n: n.zero_share)
        lost = usual_nulls - number.null_share
        if (
            number.null_share < _NULLS_LEFT_MAX * usual_nulls
            and zeros + quarantined >= _NULLS_FOUND_MIN * lost
        ):
            text = (
                f"{column.name}: {number.null_share:.1%} of the values are missing, usually {usual_nulls:.1%}; "
                f"the share of zeros rose by {zeros:.1%}. Suspected: missing values written as 0"
            )
            yield GateFinding(reason="nulls_as_zeros", column=column.name, text=text)


def _emptied_columns(comparison: _Comparison) -> Iterator[GateFinding]:
    """Values above 0 are gone from a column while the rows are there."""
    emptiable = comparison.gate.emptiable_columns
    for column in (one for one in comparison.columns() if one.name not in emptiable):
        usual = comparison.usual_of(column.name, lambda n: n.positive_share)
        seen = comparison.usual_of(column.name, lambda n: n.positive_count)
        share = comparison.delivery.numbers[column.name].positive_share
        expected = min(usual * comparison.delivery.row_count, seen)
        if expected >= FEWEST_VALUES and share < _POSITIVES_LEFT_MAX * usual:
            text = f"{column.name}: {share:.1%} of the rows have a value above 0, usually {usual:.1%}"
            yield GateFinding(reason="column_emptied", column=column.name, text=text)


_RULES: tuple[Callable[[_Comparison], Iterator[GateFinding]], ...] = (
    _row_counts,
    _duplicates,
    _levels,
    _missing_segments,
    _filled_nulls,
    _emptied_columns,
)

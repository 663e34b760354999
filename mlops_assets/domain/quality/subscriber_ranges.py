"""Ranges of single subscribers: the forecast of their plan times their own level and spread.

For a subscriber of a plan on a day: m is the plan's forecast in MB per active subscriber (the kernel's mid of
the plan's total, over the mean number of active subscribers in the seven days up to the kernel's day), c is
5 % of the plan's mean m over a week, and a value y becomes r = ln((y + c) / (m + c)); a day without usage is
y = 0. The own level and spread of r are shrunk to those of the plan's people (n days known):

    level = (n * own + 4 * plan) / (n + 4)        spread^2 = (n * own^2 + 8 * plan^2) / (n + 8)
    low, high = (m + c) * exp(level + spread * q) - c

q are calibrated quantiles of z = (r - level) / spread over recent days. For removal the day's common shift,
the median of r - level over the plan's people, is taken off first: a festival is no fault of anybody.
Levels are kept per subscriber and plan, so that who comes back to a plan is known there.

State of a day: own level and spread move towards the day's r (common shift taken off, but for 0.2 of it) by
1/(n+1), at least by 0.07, and no further than two spreads count: one pass, one row per subscriber and plan.
A test holds it together with exact quantiles of the last 30 days, which would be a scan of 30 days.

Belongs here: expressions. Does not belong here: which partitions they read (subscriber_tables.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.quality.spec import RangeSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

Views = Mapping[str, "ir.Table"]
PUBLISHED, REMOVAL, UNJUDGED = "published", "removal", "no_kernel"
ALL_PLANS, ALL_STRATA = "", -1
KEPT_DAYS = 45
HISTORY_MAX_DAYS = 30
SCORE_WIDTH = 0.05
_SCORE_LIMIT = 800  # buckets on each side: 40 spreads
_KB_PER_MB = 1024
_OFFSET_SHARE = 0.05
_LEVEL_WEIGHT_DAYS, _SPREAD_WEIGHT_DAYS = 4, 8
_SLOWEST_GAIN, _LEVEL_CLIP, _SPREAD_CLIP = 0.07, 2.0, 2.5
_MEAN_CLIPPED = 0.7941  # mean of min(|x|, 2.5) of a standard normal x
_SPREAD_LEAST, _SPREAD_UNKNOWN = 0.05, 1.0
_STRATA_FROM_DAYS = (3, 10)  # history in days from which a subscriber is in stratum 1 and 2
_TRUSTED_DAYS = 3
_LEAST_FOR_COMMON = 50
_COMMON_ABSORBED = 0.2  # of a common shift; without it levels would lose their tie to the forecast
_LARGEST_MB = 1e15
_LARGEST_EXPONENT = 50.0


def move_levels(views: Views) -> ir.Table:
    """Return the state after the day: rows of the day moved, others carried for 45 days."""
    rows = score_subscribers(views)
    moved = rows.filter(rows.deviation.notnull()).select("subscriber_id", "plan_code", **_moved(rows))
    previous = views["previous"].rename(
        {f"old_{name}": name for name in ("subscriber_id", "plan_code", *_STATE)}
    )
    both = moved.outer_join(
        previous,
        [moved.subscriber_id == previous.old_subscriber_id, moved.plan_code == previous.old_plan_code],
    ).cross_join(views["as_of"])
    state = both.select(
        **{name: both[name].coalesce(both[f"old_{name}"]) for name in ("subscriber_id", "plan_code")},
        **{name: both[name].coalesce(both[f"old_{name}"]) for name in ("level", "spread", "history_days")},
        last_day=both.level.notnull().ifelse(both.day, both.old_last_day),
        day=both.day,
    )
    return state.filter(state.day.delta(state.last_day, unit="day") < KEPT_DAYS)


_STATE = ("level", "spread", "history_days", "last_day")


def _moved(rows: ir.Table) -> dict[str, ir.Value]:
    import ibis

    days = rows.history_days
    absorbed = rows.common.clip(-_COMMON_ABSORBED, _COMMON_ABSORBED)
    centred = rows.ratio - rows.common + absorbed
    error = centred - rows.own_level
    gain = ibis.greatest(1.0 / (days + 1), _SLOWEST_GAIN)
    step = error.clip(-_LEVEL_CLIP * rows.spread, _LEVEL_CLIP * rows.spread)
    gain_of_spread = ibis.greatest(1.0 / (days + 2), _SLOWEST_GAIN)
    found = ibis.least(error.abs(), _SPREAD_CLIP * rows.spread) / _MEAN_CLIPPED
    is_first = days == 0
    return {
        "level": is_first.ifelse(centred, rows.own_level + gain * step),
        "spread": is_first.ifelse(
            rows.spread,
            ibis.greatest(rows.own_spread + gain_of_spread * (found - rows.own_spread), _SPREAD_LEAST),
        ),
        "history_days": ibis.least(days + 1, HISTORY_MAX_DAYS),
    }


def count_scores(views: Views) -> ir.Table:
    """Return how many subscribers have which score z, by plan, stratum and kind, in steps of 0.05.

    Histograms of days add up. `published` counts z, `removal` z without the common shift, `no_kernel` people
    whose plan has no forecast; removed values count as all others, or ranges would shrink day by day.
    """
    import ibis

    rows = score_subscribers(views)
    judged = rows.filter(rows.deviation.notnull())
    without = rows.filter(rows.deviation.isnull())
    kinds = {PUBLISHED: judged.deviation, REMOVAL: judged.deviation - judged.common}
    pieces = [
        judged.select(
            "plan_code", "stratum", kind=ibis.literal(kind), bucket=_score_bucket(value / judged.spread)
        )
        for kind, value in kinds.items()
    ]
    zero = ibis.literal(0, "int64")
    pieces.append(without.select("plan_code", stratum=zero, kind=ibis.literal(UNJUDGED), bucket=zero))
    scores = ibis.union(*pieces)
    return scores.group_by("plan_code", "stratum", "kind", "bucket").aggregate(subscribers=scores.count())


def _score_bucket(score: ir.Value) -> ir.Value:
    return (score / SCORE_WIDTH).clip(-_SCORE_LIMIT, _SCORE_LIMIT).floor().cast("int64")


def calibrate_limits(views: Views, ranges: RangeSpec) -> ir.Table:
    """Return the quantiles q of the scores given, by plan and stratum, and for wider circles.

    Over all plans plan_code is empty, over all strata too stratum is -1.

    The ceil((n+1)(1-alpha/2))-th smallest score bounds a range above, the same from above bounds it below
    (split conformal prediction, Vovk et al. 2005), rounded outwards to 0.05. With fewer than 2/alpha scores
    there is none, and null sends the reader to the wider circle.
    """
    import ibis

    scores = views["scores"].filter(views["scores"].kind != UNJUDGED)
    names = ("plan_code", "stratum", "kind", "bucket", "subscribers")
    pooled = scores.mutate(plan_code=ibis.literal(ALL_PLANS)).select(*names)
    whole = pooled.mutate(stratum=ibis.literal(ALL_STRATA, "int64")).select(*names)
    every = ibis.union(scores.select(*names), pooled, whole)
    keys = names[:3]
    by_bucket = every.group_by(*names[:4]).aggregate(n=_whole(every.subscribers.sum()))
    rows = _running(by_bucket, keys)
    alpha = (rows.kind == PUBLISHED).ifelse(ranges.published_alpha, ranges.removal_alpha)
    rank = ((rows.total + 1) * (1.0 - alpha / 2) - 1e-9).ceil()
    ranked = rows.mutate(is_high=rows.up_to >= rank, is_low=rows.total - rows.up_to + rows.n >= rank)
    return ranked.group_by("plan_code", "stratum").aggregate(
        **_bounds(ranked, PUBLISHED, ""),
        **_bounds(ranked, REMOVAL, "removal_"),
        scores=_whole((ranked.kind == PUBLISHED).ifelse(ranked.n, 0).sum()),
    )


def _bounds(ranked: ir.Table, kind: str, prefix: str) -> dict[str, ir.Value]:
    is_kind = ranked.kind == kind
    return {
        f"{prefix}low_score": (is_kind & ranked.is_low).ifelse(ranked.bucket * SCORE_WIDTH, None).max(),
        f"{prefix}high_score": (is_kind & ranked.is_high)
        .ifelse((ranked.bucket + 1) * SCORE_WIDTH, None)
        .min(),
    }


def find_anomalies(views: Views) -> ir.Table:
    """Return the subscribers of the day whose value is outside their published range.

    `is_removed` marks those outside the removal range as well; people without forecast or calibration are not
    judged.
    """
    rows = _with_ranges(views)
    is_above = rows.value_mb > rows.high_mb
    found = rows.filter(is_above | (rows.value_mb < rows.low_mb))
    return found.mutate(reason=_reason(found)).select(
        "subscriber_id", "plan_code", "value_mb", "low_mb", "high_mb", "reason", "is_removed"
    )


def _reason(rows: ir.Table) -> ir.Value:
    is_above = rows.value_mb > rows.high_mb
    far = is_above.ifelse("far_above", "far_below")
    return rows.is_removed.ifelse(far, is_above.ifelse("above", "below"))


def _with_ranges(views: Views) -> ir.Table:
    rows = _with_limits(score_subscribers(views), views["limits"])
    centred = (rows.deviation - rows.common) / rows.spread
    is_removed = (centred < rows.removal_low_score) | (centred > rows.removal_high_score)
    return rows.select(
        "subscriber_id",
        "plan_code",
        "value_mb",
        low_mb=_value_at(rows, rows.low_score).clip(lower=0.0),
        high_mb=_value_at(rows, rows.high_score).clip(lower=0.0),
        is_removed=is_removed.fill_null(False),
    )


def _value_at(rows: ir.Table, score: ir.Value) -> ir.Value:
    # Not `least`, which some engines let ignore null: without a score there is no value.
    exponent = (rows.level + rows.spread * score).clip(upper=_LARGEST_EXPONENT)
    return (rows.m_mb + rows.c_mb) * exponent.exp() - rows.c_mb


_SCORE_COLUMNS = ("low_score", "high_score", "removal_low_score", "removal_high_score")


def _with_limits(rows: ir.Table, limits: ir.Table) -> ir.Table:
    """Join the limits of plan and stratum; with too few scores those of the stratum, then those of all."""
    own = limits.select(
        own_plan="plan_code",
        own_stratum="stratum",
        **{f"own_{name}": limits[name] for name in _SCORE_COLUMNS},
    )
    pooled = limits.filter(limits.plan_code == ALL_PLANS)
    pooled = pooled.select(
        pooled_stratum="stratum", **{f"pooled_{name}": pooled[name] for name in _SCORE_COLUMNS}
    )
    joined = rows.left_join(own, [rows.plan_code == own.own_plan, rows.stratum == own.own_stratum])
    whole = limits.filter(limits.stratum == ALL_STRATA)
    # An aggregate is one row even when nothing is calibrated yet.
    whole = whole.aggregate(**{f"whole_{name}": whole[name].max() for name in _SCORE_COLUMNS})
    joined = joined.left_join(pooled, joined.stratum == pooled.pooled_stratum).cross_join(whole)
    return joined.select(
        *rows.columns,
        **{
            name: joined[f"own_{name}"].coalesce(joined[f"pooled_{name}"], joined[f"whole_{name}"])
            for name in _SCORE_COLUMNS
        },
    )


def score_subscribers(views: Views) -> ir.Table:
    """Return every active subscriber with value, forecast, level, spread and deviation r - level.

    deviation is null where the plan has no forecast; `common` is the day's median deviation of the plan's
    people (of all people if fewer than 50), and 0 while nothing is known of the plan.
    """
    rows = _with_levels(_known_people(views))
    buckets = rows.filter(rows.deviation.notnull()).mutate(bucket=_fine_bucket(rows.deviation))
    by_plan = buckets.group_by("plan_code", "bucket").aggregate(n=buckets.count())
    plans = _median(by_plan, ("plan_code",))
    plans = plans.filter(plans.total >= _LEAST_FOR_COMMON)
    plans = plans.select(common_plan="plan_code", plan_common="median")
    everyone = _median(by_plan.group_by("bucket").aggregate(n=_whole(by_plan.n.sum())), ())
    joined = rows.left_join(plans, rows.plan_code == plans.common_plan)
    joined = joined.cross_join(everyone.select(all_common="median"))
    common = joined.plan_common.coalesce(joined.all_common, 0.0)
    return joined.select(*rows.columns, common=joined.is_plan_known.ifelse(common, 0.0))


def _with_levels(rows: ir.Table) -> ir.Table:
    """Shrink level and spread to the plan's, and compare the value with them."""
    import ibis

    days = rows.history_days
    level = (days * rows.own_level + _LEVEL_WEIGHT_DAYS * rows.plan_level) / (days + _LEVEL_WEIGHT_DAYS)
    variance = (days * rows.own_spread * rows.own_spread + _SPREAD_WEIGHT_DAYS * rows.plan_spread**2) / (
        days + _SPREAD_WEIGHT_DAYS
    )
    ratio = ((rows.value_mb + rows.c_mb) / (rows.m_mb + rows.c_mb)).ln()
    spread = ibis.greatest(variance.sqrt(), _SPREAD_LEAST)
    few, some = _STRATA_FROM_DAYS
    stratum = (days >= few).cast("int64") + (days >= some).cast("int64")
    shrunk = rows.mutate(level=level, spread=spread, ratio=ratio, stratum=stratum)
    return shrunk.mutate(deviation=shrunk.ratio - shrunk.level)


def _known_people(views: Views) -> ir.Table:
    """Return active subscribers left join usage, forecast of the plan, own state and state of the plan."""
    people, usage = views["subscribers"], views["usage"]
    active = people.filter(people.status == "active").select("subscriber_id", "plan_code")
    used_kb = usage.data_local_kb.fill_null(0) + usage.data_roaming_kb.fill_null(0)
    used = usage.select(used_id="subscriber_id", used_kb=used_kb)
    state = views["previous"].rename(
        {f"own_{name}": name for name in ("subscriber_id", "plan_code", *_STATE)}
    )
    forecasts, plans = _forecast_per_subscriber(views), _plan_state(views["previous"])
    rows = active.left_join(used, active.subscriber_id == used.used_id)
    rows = rows.left_join(
        state, [active.subscriber_id == state.own_subscriber_id, active.plan_code == state.own_plan_code]
    )
    rows = rows.left_join(forecasts, active.plan_code == forecasts.forecast_plan)
    rows = rows.left_join(plans, active.plan_code == plans.state_plan)
    plan_level = rows.plan_level.fill_null(0.0)
    plan_spread = rows.plan_spread.fill_null(_SPREAD_UNKNOWN)
    return rows.select(
        "subscriber_id",
        "plan_code",
        "m_mb",
        "c_mb",
        value_mb=rows.used_kb.fill_null(0).clip(lower=0) / _KB_PER_MB,
        history_days=rows.own_history_days.fill_null(0),
        own_level=rows.own_level.fill_null(0.0),
        own_spread=rows.own_spread.coalesce(plan_spread),
        plan_level=plan_level,
        plan_spread=plan_spread,
        is_plan_known=rows.plan_level.notnull(),
    )


def _forecast_per_subscriber(views: Views) -> ir.Table:
    """Return m and c in MB per active subscriber, by plan; plans without a positive forecast are left out."""
    kernel, usage = views["kernel"].cross_join(views["as_of"]), views["plan_usage_daily"]
    # Files' statistics leave NaN out, so that a comparison alone lets it pass where it is pruned by them.
    known = kernel.filter(~kernel.mid_mb.isnan(), kernel.mid_mb >= 0, kernel.mid_mb < _LARGEST_MB)
    mids = known.group_by("series").aggregate(
        day_mb=(known.target_day == known.day).ifelse(known.mid_mb, None).max(),
        mean_mb=(known.horizon_days <= 7).ifelse(known.mid_mb, None).mean(),
    )
    active = usage.group_by("plan_code").aggregate(active=usage.active_subscribers.cast("float64").mean())
    rows = mids.join(active, mids.series == active.plan_code)
    base = rows.active.nullif(0)
    per_subscriber = rows.select(
        forecast_plan="series", m_mb=rows.day_mb / base, c_mb=_OFFSET_SHARE * rows.mean_mb / base
    )
    return per_subscriber.filter(per_subscriber.m_mb.notnull(), per_subscriber.c_mb > 0)


def _plan_state(previous: ir.Table) -> ir.Table:
    """Return the medians of the own levels and spreads of the people of each plan."""
    known = previous.filter(previous.history_days >= _TRUSTED_DAYS)
    levels = known.mutate(bucket=_fine_bucket(known.level))
    spreads = known.mutate(bucket=_fine_bucket(known.spread.ln()))
    by_level = levels.group_by("plan_code", "bucket").aggregate(n=levels.count())
    by_spread = spreads.group_by("plan_code", "bucket").aggregate(n=spreads.count())
    level = _median(by_level, ("plan_code",)).select(state_plan="plan_code", plan_level="median")
    spread = _median(by_spread, ("plan_code",)).select(spread_plan="plan_code", log_spread="median")
    joined = level.join(spread, level.state_plan == spread.spread_plan)
    return joined.select("state_plan", "plan_level", plan_spread=joined.log_spread.exp())


_FINE_WIDTH = 0.02


def _fine_bucket(value: ir.Value) -> ir.Value:
    return (value / _FINE_WIDTH).floor().cast("int64")


def _median(counted: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Return the middle of the bucket that holds the median, and `total`, by keys.

    Exact to half a bucket (1 % here) on every engine; quantile functions differ between them.
    """
    rows = _running(counted, keys)
    middle = (rows.up_to * 2 >= rows.total).ifelse(rows.bucket, None).min()
    return rows.aggregate(by=keys, median=(middle + 0.5) * _FINE_WIDTH, total=rows.total.max())


def _running(counted: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    """Add `up_to`, the count up to and including each bucket, and `total`, within the keys."""
    import ibis

    upwards = ibis.cumulative_window(group_by=keys or None, order_by=counted.bucket)
    whole = ibis.window(group_by=keys or None)
    return counted.mutate(
        up_to=_whole(counted.n.sum().over(upwards)), total=_whole(counted.n.sum().over(whole))
    )


def _whole(total: ir.Value) -> ir.Value:
    return total.cast("int64")

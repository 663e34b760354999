"""Partitions of the graph: days for data, segments for models.

Belongs here: the definitions and mappings that assets and jobs share. Does not belong here: which days are
due (sensors, `mlops run`).
"""

import dagster as dg

from mlops_assets.config.models import CalendarConfig, ProjectConfig

# Dagster wants a number for a state that carries everything forward; its own yesterday stands for the rest.
WHOLE_HISTORY_DAYS = 1


def daily_partitions(calendar: CalendarConfig) -> dg.DailyPartitionsDefinition:
    """Return the days of the data, from the environment's first day on."""
    return dg.DailyPartitionsDefinition(
        start_date=calendar.first_day.isoformat(), end_offset=calendar.days_ahead
    )


def segment_partitions(config: ProjectConfig, use_case: str) -> dg.StaticPartitionsDefinition:
    """Return the segments of a use case; each gets its own model."""
    return dg.StaticPartitionsDefinition(config.segments(use_case))


def trailing_days(days: int) -> dg.TimeWindowPartitionMapping:
    """Return the mapping from a day to itself and the `days - 1` days before it; 0 means the whole history."""
    if days == 0:
        return dg.TimeWindowPartitionMapping(
            start_offset=-WHOLE_HISTORY_DAYS, allow_nonexistent_upstream_partitions=True
        )
    return dg.TimeWindowPartitionMapping(start_offset=1 - days, allow_nonexistent_upstream_partitions=True)


def day_before() -> dg.TimeWindowPartitionMapping:
    """Return the mapping from a day to the one before it; the first day has none."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )

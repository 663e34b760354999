"""The kernels of one simulated segment, day by day, in memory: what was expected of a day, and what came.

Belongs here: keeping values and kernels of a world, and the rows that drift evidence is made of. Does not belong
here: simulating (drift_worlds) or judging (the verdict).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.domain.quality.drift_evidence import choose_ranges_day
from mlops_assets.domain.quality.kernel import Kernel, build_kernel, history_days
from mlops_assets.domain.quality.panel import assemble_panel
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.quality.stored_forecasts import StoredForecasts

_DAY = dt.timedelta(days=1)


@dataclass
class RangeHistory:
    """Values in MB by day and series, and the kernels made of them."""

    spec: MonitorSpec
    values: dict[dt.date, Mapping[str, float]] = field(default_factory=dict)
    kernels: dict[dt.date, Kernel] = field(default_factory=dict)

    def copy(self) -> RangeHistory:
        """Return the same past for another future."""
        return RangeHistory(self.spec, dict(self.values), dict(self.kernels))

    def observe(self, day: dt.date, values: Mapping[str, float] | None) -> None:
        """Take in a day's values; None where its feeds were not usable."""
        if values is None:
            self.values.pop(day, None)
        else:
            self.values[day] = values

    def forecast(self, day: dt.date) -> None:
        """Make the kernel of a day, if there is enough history."""
        first = max(min(self.values, default=day), day - (history_days(self.spec.forecast) - 1) * _DAY)
        known = [one for one in self.values if first <= one <= day]
        if len(known) < self.spec.forecast.min_history_days:
            return
        rows = [(one, name, mb) for one in known for name, mb in self.values[one].items()]
        days, series, values_mb = zip(*rows, strict=True)
        panel = assemble_panel(
            days,
            series,
            values_mb,
            delivered_days=set(known),
            first_day=first,
            last_day=day,
            gap=self.spec.gap,
        )
        past = StoredForecasts.of([kernel.forecast for made, kernel in self.kernels.items() if made >= first])
        self.kernels[day] = build_kernel(panel, self.spec, past)

    def judged_rows(self, day: dt.date) -> list[dict[str, Any]]:
        """Return the day's values beside the published ranges that drift evidence compares with."""
        made = choose_ranges_day(self.kernels, day)
        if made is None or day not in self.values:
            return []
        kernel, row = self.kernels[made], (day - made).days - 1
        ranges = zip(kernel.forecast.series, kernel.low_mb[row], kernel.high_mb[row], strict=True)
        return [
            {
                "series": name,
                "value_mb": self.values[day].get(name),
                "low_mb": float(low),
                "high_mb": float(high),
            }
            for name, low, high in ranges
        ]

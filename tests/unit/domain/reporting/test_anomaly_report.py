"""The anomaly report and its range charts."""

from __future__ import annotations

import datetime as dt
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.quality.subscriber_counts import SubscriberCounts
from mlops_assets.domain.reporting.anomaly_report import (
    AnomalyReport,
    RangePoint,
    SeriesLine,
    build_series_lines,
    build_tally,
    compare_range,
)
from mlops_assets.domain.reporting.anomaly_report_page import (
    SHOWN_ANOMALIES,
    SHOWN_CHARTS,
    SHOWN_SPECIAL,
    draw_charts,
    list_actions,
    list_commands,
    make_drift_mark,
    make_key_figures,
    make_report_tables,
    make_verdict,
    render_anomaly_html,
    render_anomaly_mail,
    render_anomaly_markdown,
)
from mlops_assets.domain.reporting.formats import ABSENT
from mlops_assets.domain.reporting.range_chart import describe_range, draw_range
from mlops_assets.domain.reporting.series_words import SERIES_WORDS, find_word
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_anomalies import (
    DAY,
    has_word,
    make_judged,
    make_judgement,
    make_kernel,
    make_outside,
    make_report,
)

PROJECT = Path(__file__).parents[4]
SPECIAL = [
    "short_history",
    "silent",
    "constant",
    "gaps",
    "negative",
    "gigantic_value",
    "new",
    "ended",
    "missing_feed",
    "unusable_feed",
]


def make_line(row: dict[str, Any] | None = None) -> SeriesLine:
    return build_series_lines([row or make_outside()], day=DAY)[0]


def test_the_operators_sentence() -> None:
    assert make_line().sentence == "Anomaly! => (380 <= 600 <= 525)"
    assert make_line(make_judgement("P", DAY, 450.0)).sentence == ""


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((380.0, 525.2, 525.1), "380.0 <= 525.2 <= 525.1"),
        ((0.0, 0.004, 0.001), "0.000 <= 0.004 <= 0.001"),
        ((1_234.4, 12.0, 5_678.0), "1,234 <= 12 <= 5,678"),
        ((0.0, -3.0, 2.0), "0.00 <= \N{MINUS SIGN}3.00 <= 2.00"),
    ],
)
def test_the_sentence_has_as_many_decimals_as_it_needs(
    numbers: tuple[float, float, float], text: str
) -> None:
    assert compare_range(*numbers) == text


@given(st.tuples(*[st.integers(0, 10**9)] * 3).filter(lambda ends: ends[0] <= ends[2]))
def test_the_sentence_is_wrong_exactly_when_the_value_is_outside(thousandths: tuple[int, int, int]) -> None:
    low, value, high = (one / 1000 for one in thousandths)
    shown = [float(one.replace(",", "")) for one in compare_range(low, value, high).split(" <= ")]
    assert (shown[0] <= shown[1] <= shown[2]) == (low <= value <= high)


@pytest.mark.parametrize(("value_mb", "share"), [(600.0, 75 / 525), (190.0, -0.5), (400.0, 0.0)])
def test_deviation_is_measured_from_the_nearer_end(value_mb: float, share: float) -> None:
    is_outside = share != 0
    assert make_line(make_outside("P", value_mb, is_outside=is_outside)).deviation_share == pytest.approx(
        share
    )


def test_a_value_just_outside_is_not_zero_percent_outside() -> None:
    """525.2 beyond 525 is 0.04 % beyond: little, but not nothing."""
    report = make_report(series=build_series_lines([make_outside("P", 525.2)], day=DAY))
    ((_, _, beyond, *_),) = make_report_tables(report)["anomalies"].rows
    assert str(beyond).replace("\N{NO-BREAK SPACE}", " ") == "< 0.1 %"
    assert "+0\N{NO-BREAK SPACE}%" not in render_anomaly_html(report) + render_anomaly_mail(report)


def test_lines_are_built_from_arrow_rows_with_the_range_ahead() -> None:
    judged = [*make_judged("P10", 90)[:-1], make_outside(), make_judgement("P10", DAY + dt.timedelta(1), 1.0)]
    (line,) = build_series_lines(
        pa.Table.from_pylist(judged), day=DAY, kernel=pa.Table.from_pylist(make_kernel("P10"))
    )
    assert (line.value_mb, line.is_outside, line.status) == (600.0, True, "ok")
    assert len(line.points) == 60 + 30
    assert [point.state for point in line.points[59:61]] == ["outside", "unchecked"]
    assert line.points[-1].value_mb is None


def test_a_series_without_a_row_today_was_not_checked() -> None:
    yesterday = [row for row in make_judged("P10") if row["target_day"] < DAY]
    (line,) = build_series_lines(yesterday, day=DAY)
    assert (line.is_outside, line.status) == (None, "missing_value")
    assert find_word(line.status).label == "No value"


@pytest.mark.parametrize(
    ("feed_status", "status"),
    [
        ("missing", "missing_feed"),
        ("held", "unusable_feed"),
        ("unknown", "missing_value"),
    ],
)
def test_a_feed_that_was_not_used_explains_its_series(feed_status: Any, status: str) -> None:
    yesterday = [row for row in make_judged("P10") if row["target_day"] < DAY]
    (line,) = build_series_lines(yesterday, day=DAY, kernel=make_kernel("P10"), feed_status=feed_status)
    assert (line.is_outside, line.status) == (None, status)
    assert has_word(status)


def test_a_status_of_the_kernel_explains_a_series_without_a_range() -> None:
    kernel = make_kernel("NEW", low_mb=None, high_mb=math.nan, status="short_history")
    (line,) = build_series_lines([], day=DAY, kernel=kernel)
    assert (line.is_outside, line.status) == (None, "short_history")


def test_without_a_range_nothing_is_judged_whatever_the_row_says() -> None:
    line = make_line(make_outside(low_mb=math.nan, is_removed=True))
    assert (line.is_outside, line.is_removed, line.sentence) == (None, False, "")


def test_missing_columns_are_named() -> None:
    with pytest.raises(TableInputError, match="lack `high_mb`"):
        build_series_lines([{"series": "P", "target_day": DAY, "value_mb": 1.0, "low_mb": 0.0}], day=DAY)


@pytest.mark.parametrize(
    "fields",
    [
        {"is_outside": True},
        {"value_mb": 1.0, "low_mb": 0.0, "high_mb": 2.0, "is_outside": False, "is_removed": True},
    ],
)
def test_a_verdict_needs_its_evidence(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SeriesLine(series="P", **fields)


def test_the_page_shows_anomalies_the_worst_first_and_what_follows() -> None:
    report = make_report()
    page = render_anomaly_html(report)
    text = " ".join(check_page(page).text)
    assert str(make_verdict(report)) == "✖ 2 of 7 series outside their range"
    assert [line.series for line in report.outside] == ["WEEKEND", "P10"]
    for expected in (
        "Anomaly! => (380 <= 600 <= 525)",
        "Anomaly! => (380 <= 9,800 <= 525)",
        "+14\N{NO-BREAK SPACE}%",
        "above the range",
        "amount is 1000 times what it was",
        "2 of 7 series outside on 1 of the last 4 healthy days",
        "The day of WEEKEND is removed from every corpus",
        "topups of this day: not used, and no evidence of drift",
        "mlops feeds release topups cl 2024-02-14",
        "New plan",
        "Ended plan",
    ):
        assert expected in text
    assert f'content="{DAY}"' in page


def test_mail_and_markdown_say_it_too() -> None:
    report = make_report()
    mail, markdown = render_anomaly_mail(report), render_anomaly_markdown(report)
    assert "Anomaly! =&gt; (380 &lt;= 600 &lt;= 525)" in mail
    assert "`Anomaly! => (380 <= 600 <= 525)`" in markdown
    for text in (mail, markdown):
        assert "mlops feeds release topups cl 2024-02-14" in text
        assert "One-off event" in text
        assert "New plan" in text
    for forbidden in ("<style", "<svg", "href=", "src="):
        assert forbidden not in mail


@pytest.mark.parametrize("status", SPECIAL)
def test_every_special_series_has_a_clear_word_in_page_mail_and_markdown(status: str) -> None:
    assert has_word(status)
    word = find_word(status)
    lines = [SeriesLine(series="ODD", value_mb=0.0, status=status)]
    report = make_report(series=lines)
    page = " ".join(check_page(render_anomaly_html(report)).text)
    assert word.label in page
    assert word.sentence in page
    assert word.label in render_anomaly_mail(report)
    assert word.label in render_anomaly_markdown(report)
    assert len({find_word(one).sentence for one in SPECIAL}) == len(SPECIAL)


def test_a_status_that_nobody_described_is_shown_as_it_is() -> None:
    assert not has_word("half_moon")
    report = make_report(series=[SeriesLine(series="ODD", status="half_moon")])
    assert "Half moon" in render_anomaly_html(report)


def test_words_have_no_doubles() -> None:
    assert len({word.label for word in SERIES_WORDS.values()}) == len(SERIES_WORDS)


def test_a_missing_feed_is_neither_an_alarm_nor_an_all_clear() -> None:
    lines = [SeriesLine(series="P10", status="missing_feed")]
    report = make_report(series=lines, feeds=[{"feed": "usage", "status": "missing"}], subscribers=None)
    assert str(make_verdict(report)) == "○ Not executed: no series could be checked"
    figures = {label: figure for label, figure, _ in make_key_figures(report)}
    assert figures["Series outside"] == figures["Series removed"] == figures["Subscribers outside"] == ABSENT
    text = " ".join(check_page(render_anomaly_html(report)).text)
    assert "No series could be checked" in text
    assert "No anomaly" not in text
    assert "Subscribers were not checked on this day." in text
    assert list_actions(report)[0].startswith("Nothing was checked")


def test_a_quiet_day_says_so() -> None:
    report = make_report(
        series=build_series_lines(make_judged("P10"), day=DAY),
        feeds=[{"feed": "usage", "status": "healthy"}],
        subscribers={"checked": 12, "outside": {}, "removed": {}},
        drift={"kind": "healthy"},
    )
    assert str(make_verdict(report)) == "✔ No anomaly in 1 series"
    text = " ".join(check_page(render_anomaly_html(report)).text)
    assert "No series is outside its range." in text
    assert "none was outside" in text
    assert list_actions(report) == ["Nothing has to be done."]
    assert [command for command, _ in list_commands(report)] == ["mlops feeds list"]


def test_an_empty_report_is_still_a_page() -> None:
    report = AnomalyReport(monitor="m", geography="cl", day=DAY, series=())
    check_page(render_anomaly_html(report))
    assert str(make_drift_mark(report.drift)) == "○ No verdict yet"
    assert render_anomaly_mail(report)
    assert render_anomaly_markdown(report)


def test_a_due_retraining_is_said() -> None:
    report = make_report(drift={"kind": "behaviour_shift", "reasons": ["r"], "is_retraining_due": True})
    assert "Retraining is due" in str(make_drift_mark(report.drift))
    assert "Retraining of the models of this geography is due." in list_actions(report)


def test_size_is_bounded_whatever_the_panel() -> None:
    rows = [make_outside(f"S{number:04d}", 600.0 + number) for number in range(400)]
    odd = [SeriesLine(series=f"X{number:04d}", status="short_history") for number in range(400)]
    report = make_report(series=[*build_series_lines(rows, day=DAY), *odd])
    tables = make_report_tables(report)
    assert len(tables["anomalies"].rows) == SHOWN_ANOMALIES
    assert "350 more are not shown" in tables["anomalies"].title
    assert len(tables["special"].rows) == SHOWN_SPECIAL
    page = render_anomaly_html(report)
    assert page.count("<svg") == SHOWN_CHARTS == len(draw_charts(report))
    assert len(page) < 150_000
    assert "400 of 400 series outside" in page


def test_a_series_of_one_day_has_no_chart_unless_it_is_an_anomaly() -> None:
    charts = [chart.series for chart in draw_charts(make_report())]
    assert charts[:2] == ["WEEKEND", "P10"]
    assert not {"NEW_5G", "OLD_3G"} & set(charts)
    assert len(draw_charts(make_report(series=[make_line()]))) == 1


def test_values_are_escaped_everywhere() -> None:
    nasty = "<script>x</script>"
    row = make_outside(nasty, reason=nasty)
    report = make_report(
        series=build_series_lines([row, *make_judged(nasty)[:-1]], day=DAY),
        monitor=nasty,
        drift={"kind": "healthy", "reasons": [nasty]},
        feeds=[{"feed": nasty, "status": "held", "findings": [nasty]}],
    )
    check_page(render_anomaly_html(report))
    assert "<script" not in render_anomaly_mail(report)
    outside_code = re.sub(r"`[^`]*`", "", render_anomaly_markdown(report))
    assert "<script" not in outside_code


@pytest.mark.parametrize("name", ["56912345678", "imsi 730012345678901"])
def test_series_and_reasons_called_like_a_subscriber_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="subscriber's number"):
        SeriesLine(series=name)
    with pytest.raises(ValidationError, match="subscriber's number"):
        make_report(subscribers={"checked": 5, "outside": {name: 1}})


def test_a_number_of_a_subscriber_in_a_sentence_is_masked() -> None:
    feeds = [{"feed": "usage", "status": "held", "findings": ["row of 56912345678"]}]
    report = make_report(feeds=feeds, drift={"kind": "healthy", "reasons": ["56912345678 moved"]})
    for text in (render_anomaly_html(report), render_anomaly_mail(report), render_anomaly_markdown(report)):
        assert "56912345678" not in text
        assert "row of …" in text


def test_subscribers_are_counts_by_reason() -> None:
    table = make_report_tables(make_report())["subscribers"]
    assert [tuple(map(str, row)) for row in table.rows] == [
        ("above the range", "71", "0"),
        ("below the range", "12", "0"),
    ]
    with pytest.raises(ValidationError, match="more anomalies than subscribers"):
        make_report(subscribers={"checked": 5, "outside": {"above_range": 6}})


def test_the_tally_comes_from_the_days_counts() -> None:
    counts = SubscriberCounts(
        scored=100, without_forecast=7, is_calibrated=True, by_reason={"above": 4, "far_above": 1}
    )
    tally = build_tally(counts)
    assert tally is not None
    assert (tally.checked, tally.without_range, tally.removed) == (100, 7, {"far_above": 1})
    figures = {
        label: (figure, note) for label, figure, note in make_key_figures(make_report(subscribers=tally))
    }
    assert figures["Subscribers outside"] == ("5", "of 100 checked; 7 have no range")
    assert "1 subscriber-day is left out likewise." in list_actions(make_report(subscribers=tally))


def test_subscribers_without_limits_were_not_checked() -> None:
    counts = SubscriberCounts(scored=100, without_forecast=0, is_calibrated=False, by_reason={})
    assert build_tally(counts) is None
    assert build_tally(None) is None


def test_a_series_cannot_occur_twice() -> None:
    with pytest.raises(ValidationError, match="twice"):
        make_report(series=[SeriesLine(series="P"), SeriesLine(series="P")])


def test_a_report_survives_its_json() -> None:
    report = make_report()
    assert AnomalyReport.model_validate_json(report.model_dump_json()) == report


def draw(points: list[RangePoint]) -> str:
    return draw_range(points, day=DAY, title="Range of P <b>", name="range-1")


def make_point(back: int, value_mb: float | None, state: Any = "inside") -> RangePoint:
    day = DAY - dt.timedelta(days=back)
    return RangePoint(day=day, value_mb=value_mb, low_mb=380.0, high_mb=525.0, state=state)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


def test_a_chart_speaks_and_takes_the_pages_colours() -> None:
    svg = draw([make_point(back, 450.0) for back in range(1, 30)] + [make_point(0, 600.0, "outside")])
    root = parse(svg)
    assert root.attrib["role"] == "img"
    assert root[0].text == "Range of P <b>"
    assert "that day 600.0 MB, range 380.0 to 525.0 MB; outside on 2024-02-14 (above)" in (root[1].text or "")
    assert "width" not in root.attrib
    assert "#" not in svg.replace("#range", "")
    for colour in ("currentColor", "var(--accent)", "var(--bad)"):
        assert colour in svg


def marks(svg: str) -> list[str]:
    return re.findall(r'<path d="M[\d.]+ [\d.]+(l[^"]+)z" fill="var\(--bad\)"', svg)


def test_anomalies_are_told_apart_by_shape() -> None:
    states = [
        make_point(2, 600.0, "outside"),
        make_point(1, 300.0, "outside"),
        make_point(0, 600.0, "removed"),
    ]
    above, below, removed = marks(draw(states))
    assert above != below
    assert removed.count("l") == 3
    assert above.count("l") == 1
    assert marks(draw([make_point(0, 450.0)])) == []


def test_a_gigantic_value_does_not_flatten_the_range() -> None:
    svg = draw([*(make_point(back, 450.0) for back in range(1, 9)), make_point(0, 9e12, "removed")])
    heights = [float(pair.split(",")[1]) for pair in re.findall(r'points="([^"]+)"', svg)[0].split()]
    assert max(heights) - min(heights) > 10
    assert ">9000G MB</text>" in svg


def test_a_negative_value_shows_below_zero() -> None:
    root = parse(draw([make_point(1, 450.0), make_point(0, -2_000.0, "removed")]))
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "\N{MINUS SIGN}2k MB" in texts


def test_gaps_break_line_and_band() -> None:
    svg = draw([make_point(back, 450.0) for back in (0, 1, 5, 6, 9)])
    assert svg.count("<polygon") == 3
    (path,) = re.findall(r'<path d="([^"]+)" fill="none" stroke="currentColor"', svg)
    assert path.count("M") == 3


@pytest.mark.parametrize(
    "points",
    [
        [make_point(0, None)],
        [RangePoint(day=DAY, value_mb=0.0)],
        [RangePoint(day=DAY, value_mb=-1.0)],
        [RangePoint(day=DAY, value_mb=0.0, low_mb=0.0, high_mb=0.0, state="inside")],
        [RangePoint(day=DAY, value_mb=1e-9), RangePoint(day=DAY + dt.timedelta(1), low_mb=0.0, high_mb=0.0)],
    ],
)
def test_any_point_can_be_drawn(points: list[RangePoint]) -> None:
    parse(draw(points))


@given(
    st.lists(
        st.builds(
            RangePoint,
            day=st.dates(dt.date(2024, 1, 1), dt.date(2024, 3, 1)),
            value_mb=st.none() | st.floats(-1e15, 1e15),
            low_mb=st.none() | st.floats(0, 1e6),
            high_mb=st.none() | st.floats(1e6, 1e12),
            state=st.sampled_from(["inside", "outside", "removed", "unchecked"]),
        ),
        max_size=20,
        unique_by=lambda point: point.day,
    )
)
def test_nothing_is_drawn_off_the_chart(points: list[RangePoint]) -> None:
    svg = draw(points)
    numbers = [
        float(y) for y in re.findall(r"(?<=[\d]),(-?[\d.]+)", "".join(re.findall(r'points="[^"]+"', svg)))
    ]
    assert all(0 <= y <= 168 for y in numbers)
    assert "nan" not in svg
    assert (svg == "") == all((p.value_mb, p.low_mb, p.high_mb) == (None, None, None) for p in points)


def test_many_days_outside_are_described_shortly() -> None:
    points = [make_point(back, 600.0, "outside") for back in reversed(range(30))]
    assert "and 22 earlier" in describe_range(points, day=DAY)


def test_importing_the_renderers_loads_no_plotting_library() -> None:
    code = (
        "import sys, mlops_assets.domain.reporting.anomaly_report_page\n"
        "import mlops_assets.domain.reporting.quality_summary_page, mlops_assets.domain.reporting.kernel_file\n"
        "sys.exit(bool({'matplotlib', 'jinja2', 'dagster', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0

"""The model card as HTML and as Markdown.

Belongs here: how a card is laid out. Does not belong here: its content (model_card).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlops_assets.domain.reporting.charts import draw_importances, draw_reliability
from mlops_assets.domain.reporting.decision_words import make_check_table
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_count,
    format_days,
    format_interval,
    format_name,
    format_number,
    format_share,
    format_time,
    shorten_hash,
)
from mlops_assets.domain.reporting.markdown_blocks import join_blocks, make_bullets, make_figure_bullets
from mlops_assets.domain.reporting.model_card import CandidateNote, MetricNote, ModelCard
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Code, Mark, Table, escape_markdown, make_table, to_markdown

_CHART_FEATURES = 15
_NOT_CHAMPION = {
    "promoted": Mark("Promoted, replaced since", "neutral"),
    "rolled_back": Mark("Champion again for a time, replaced since", "neutral"),
    "pending": Mark("Passed the gate, waits for approval", "neutral"),
    "expired": Mark("Not approved in time, not in use", "bad"),
    "rejected": Mark("Rejected, not in use", "bad"),
}


def render_model_card_html(card: ModelCard) -> str:
    """Return the card as one self-contained page."""
    shares = [(feature.name, feature.importance) for feature in card.features]
    most_important = sorted(shares, key=lambda pair: -pair[1])[:_CHART_FEATURES]
    bins = card.calibration.bins if card.calibration else ()
    points = [(one.mean_predicted, one.observed_share, one.row_count) for one in bins]
    return render_page(
        "model_card.html.j2",
        title=card.title,
        data_day=card.data_day,
        card=card,
        verdict=make_verdict(card),
        figures=make_key_figures(card),
        tables=make_card_tables(card),
        importance_chart=draw_importances(
            most_important, title="Importance of the features, share of the total"
        )
        if most_important
        else "",
        reliability_chart=draw_reliability(points, title="Predicted against observed probability")
        if points
        else "",
    )


def render_model_card_markdown(card: ModelCard) -> str:
    """Return the card as Markdown, for places that show no pages (Dagster's metadata, a pull request)."""
    return join_blocks(_markdown_blocks(card))


def make_verdict(card: ModelCard) -> Mark:
    """Return what the version is now, in a few words."""
    decision = card.decision
    if decision.champion_since_utc is not None:
        return Mark(f"Champion since {format_time(decision.champion_since_utc)}", "good")
    return _NOT_CHAMPION[decision.outcome]


def make_key_figures(card: ModelCard) -> list[tuple[str, str, str]]:
    """Return the handful of figures that a reader looks for first: label, figure, what it compares with."""
    main = card.main_metric
    figures = [
        (f"{format_name(main.name)}, holdout", format_number(main.value), _describe_interval(main)),
        ("Against the champion before", _describe_gain(main), _describe_champion(main)),
    ]
    if card.business is not None:
        before = card.business.champion_value
        compared = f"; before: {format_number(before)}" if before is not None else ""
        figures.append(("Business figure", format_number(card.business.value), card.business.unit + compared))
    if card.calibration is not None:
        figures.append(("Calibration error", format_share(card.calibration.error), card.calibration.method))
    passed = sum(check.has_passed for check in card.decision.checks)
    figures.append(
        (
            "Gate checks passed",
            f"{passed} of {len(card.decision.checks)}",
            card.decision.outcome.replace("_", " "),
        )
    )
    return figures


def make_card_tables(card: ModelCard) -> dict[str, Table]:
    """Return every table of the card by name."""
    return {
        "checks": make_check_table(card.decision),
        "metrics": _metrics_table(card),
        "segments": _segments_table(card),
        "features": _features_table(card),
        "corpus": _corpus_table(card),
        "leaderboard": _leaderboard_table(card),
        "stamps": _stamps_table(card),
    }


def _metrics_table(card: ModelCard) -> Table:
    return make_table(
        "Metrics on the holdout",
        ["Metric", "#This version", "#Interval", "#Champion before", "Unit", "Better is"],
        [
            (
                format_name(metric.name),
                format_number(metric.value),
                format_interval(metric.low, metric.high),
                format_number(metric.champion_value),
                metric.unit or ABSENT,
                "higher" if metric.is_higher_better else "lower",
            )
            for metric in card.metrics
        ],
    )


def _segments_table(card: ModelCard) -> Table:
    return make_table(
        f"Gain in {format_name(card.metric)} by segment of the holdout; positive is better",
        ["Segment", "#Rows", "#Gain", "Within tolerance"],
        [
            (
                f"{format_name(part.column)}: {part.value}",
                format_count(part.row_count),
                format_number(part.gain, is_signed=True),
                Mark("yes", "good") if part.is_tolerated else Mark("no", "bad"),
            )
            for part in card.segments
        ],
    )


def _features_table(card: ModelCard) -> Table:
    ordered = sorted(card.features, key=lambda feature: (-feature.importance, feature.name))
    rows = [
        (Code(feature.name), format_share(feature.importance), feature.unit, feature.formula)
        for feature in ordered
    ]
    return make_table("Features", ["Feature", "#Importance", "Unit", "How it is computed"], rows)


def _corpus_table(card: ModelCard) -> Table:
    return make_table(
        "Parts of the corpus",
        ["Part", "As-of days", "#Rows", "#Positives", "#Prevalence"],
        [
            (
                format_name(part.name),
                format_days(part.first_as_of, part.last_as_of),
                format_count(part.row_count),
                format_count(part.positive_count),
                format_share(part.prevalence),
            )
            for part in card.corpus.parts
        ],
    )


def _leaderboard_table(card: ModelCard) -> Table:
    return make_table(
        f"Candidates by {format_name(card.metric)} on the validation part",
        ["Algorithm", "#Value", "#Standard error", "#Fit, s", "Outcome", "Note"],
        [
            (
                format_name(candidate.algorithm),
                format_number(candidate.value),
                format_number(candidate.standard_error),
                ABSENT if candidate.fit_seconds is None else f"{candidate.fit_seconds:.2f}",
                _describe_outcome(candidate),
                candidate.failure or ABSENT,
            )
            for candidate in card.leaderboard
        ],
    )


def _describe_outcome(candidate: CandidateNote) -> Mark:
    if candidate.failure:
        return Mark("failed", "bad")
    return Mark("chosen", "good") if candidate.is_chosen else Mark("not chosen", "neutral")


def _stamps_table(card: ModelCard) -> Table:
    stamps = card.stamps
    commit = f"{shorten_hash(stamps.git_commit)}{' with uncommitted changes' if stamps.is_git_dirty else ''}"
    rows = [
        ("Model bundle, sha256", Code(stamps.bundle_sha256 or ABSENT)),
        ("Corpus, sha256", Code(stamps.corpus_sha256 or ABSENT)),
        ("Configuration, sha256", Code(stamps.config_sha256 or ABSENT)),
        ("Feed versions, sha256", Code(stamps.feed_versions_sha256 or ABSENT)),
        ("Locked environment, sha256", Code(stamps.environment_lock_sha256 or ABSENT)),
        ("Code", Code(commit)),
        ("Dagster run", Code(stamps.dagster_run_id or ABSENT)),
        ("MLflow run", Code(stamps.mlflow_run or ABSENT)),
        ("Decision", Code(card.decision.decision_id)),
    ]
    return make_table("Stamps", ["What", "Value"], rows)


def _describe_interval(metric: MetricNote) -> str:
    if metric.low is None or metric.high is None:
        return "no interval computed"
    return f"interval {format_interval(metric.low, metric.high)}"


def _describe_gain(metric: MetricNote) -> str:
    if metric.champion_value is None:
        return "first champion"
    return format_number(metric.value - metric.champion_value, is_signed=True)


def _describe_champion(metric: MetricNote) -> str:
    direction = "higher is better" if metric.is_higher_better else "lower is better"
    if metric.champion_value is None:
        return direction
    return f"it has {format_number(metric.champion_value)} on the same rows; {direction}"


def _markdown_blocks(card: ModelCard) -> Iterator[str]:
    """Yield the blocks of the Markdown card, in the order of the page."""
    text = escape_markdown
    tables = make_card_tables(card)
    yield f"# {text(card.title)}"
    yield f"**{make_verdict(card)}**"
    yield text(card.description)
    yield f"Owner: {text(card.owner)}. Task: {card.task}. Algorithm: {text(format_name(card.algorithm))}."
    yield make_figure_bullets(make_key_figures(card))
    yield "## Decision"
    decision = card.decision
    outcome = decision.outcome.replace("_", " ")
    yield f"{outcome} by {text(decision.decided_by)} at {format_time(decision.decided_at_utc)}"
    yield make_bullets(decision.reasons)
    yield to_markdown(tables["checks"])
    yield "## How good it is"
    yield to_markdown(tables["metrics"])
    if card.business is not None:
        figure = f"{format_number(card.business.value)} {card.business.unit}"
        yield f"{text(format_name(card.business.name))}: {text(figure)}. {text(card.business.assumptions)}"
    if card.segments:
        yield to_markdown(tables["segments"])
    yield "## What it looks at"
    yield to_markdown(tables["features"])
    yield "## What it learnt from"
    yield f"Table `{card.corpus.table}`. Label: {text(card.corpus.label)}"
    yield to_markdown(tables["corpus"])
    left_out = card.corpus.excluded_rows.items()
    yield "\n".join(f"- {format_count(count)} rows left out: {text(reason)}" for reason, count in left_out)
    yield "## Candidates"
    yield to_markdown(tables["leaderboard"])
    yield "## Use and limits"
    yield text(card.intended_use)
    yield make_bullets(card.limits)
    yield "## Stamps"
    yield to_markdown(tables["stamps"])

"""What all reports on the newest decision about a model have in common.

Belongs here: their declaration as assets, saving, what Dagster shows. Does not belong here: any report's content.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.assets.presentation import report_metadata
from mlops_assets.assets.segments import Segments, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore


def decision_report(
    config: ProjectConfig,
    use_case: str,
    model: str,
    segments: Segments,
    *,
    key: list[str],
    description: str,
    shown: object,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return the decorator of a page per segment that is made anew after each decision about a model.

    Args:
        config: names the segments.
        use_case: of the model.
        model: or agent.
        segments: that have the model, and their settings.
        key: of the asset.
        description: of the asset.
        shown: what of the settings its pages depend on, with the version of their making.
    """
    return dg.asset(
        key=key,
        description=description,
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"html"},
        partitions_def=segment_partitions(config, use_case),
        code_version=stable_hash(shown)[:12],
        deps=[dg.AssetKey(names.champion_key(use_case, model))],
    )


def publish_page(reports: ReportStore, path: str, page: str, markdown: str) -> dg.MaterializeResult:
    """Save a page, list it in the index, and return what Dagster shows of it. Raises StorageError."""
    saved = reports.save(path, page)
    save_report_index(reports)
    return dg.MaterializeResult(metadata=report_metadata(markdown, [saved]))

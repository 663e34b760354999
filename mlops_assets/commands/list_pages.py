"""The pages beside the index of reports: decisions, mails, lineage.

Belongs here: what they are made of, and where the links on them lead. Does not belong here: their form
(mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.config import names
from mlops_assets.config.policy_slots import is_policy_slot
from mlops_assets.domain.mail_ports import MailEntry, OutgoingMail
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.lineage_page import LINEAGE_PAGE, LineageNode, render_lineage_page
from mlops_assets.domain.reporting.list_pages import (
    LEDGER_PAGE,
    MAILS_PAGE,
    render_ledger_page,
    render_mails_page,
)
from resources.mailbox import LocalMailbox

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.commands.workspace import Workspace


def save_list_pages(workspace: Workspace, data_day: dt.date) -> None:
    """Write the pages of all decisions, all mails, and of what is made from what."""
    platform = workspace.platform
    written = set(platform.reports.list())
    entries = [one for slot in platform.ledger.slots() for one in platform.ledger.history(slot)]

    def find_report(entry: LedgerEntry) -> str:
        path = report_path(workspace, entry)
        return path if path in written else ""

    pages = {
        LEDGER_PAGE: render_ledger_page(entries, find_report),
        MAILS_PAGE: render_mails_page(
            platform.outbox.entries(), lambda one: _mail_page(workspace, one), data_day
        ),
        LINEAGE_PAGE: render_lineage_page(list(read_lineage(workspace.definitions)), names.STAGES, data_day),
    }
    for path, content in pages.items():
        platform.reports.save(path, content)


def report_path(workspace: Workspace, entry: LedgerEntry) -> str:
    """Return where the report about a decision is among the reports, if it was written."""
    folder = "policies" if is_policy_slot(workspace.config, entry.slot) else "retraining"
    return f"{folder}/{entry.slot.registered_name}/version-{entry.version}.html"


def _mail_page(workspace: Workspace, entry: MailEntry) -> str:
    """Return the page of a mail relative to the reports; empty unless both are folders of this data root."""
    environment = workspace.config.environment
    if environment.storage.kind != "local" or environment.mail.kind != "local":
        return ""
    mailbox = LocalMailbox(workspace.home / environment.mail.mailbox)
    mail = OutgoingMail(entry.number, entry.key, entry.message_id, environment.mail.sender, b"")
    page = mailbox.page_path(mail)
    return os.path.relpath(page, workspace.home / environment.storage.reports) if page.exists() else ""


def read_lineage(definitions: dg.Definitions) -> Iterator[LineageNode]:
    """Yield every asset of the graph with what it is made from."""
    graph = definitions.get_repository_def().asset_graph
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        yield LineageNode(
            key="/".join(key.path),
            stage=key.path[0],
            group=node.group_name or names.SHARED_GROUP,
            parents=tuple(sorted("/".join(parent.path) for parent in node.parent_keys)),
        )

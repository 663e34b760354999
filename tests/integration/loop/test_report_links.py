"""From the index of reports every page of an operator is reached, and no link on the way leads nowhere."""

from __future__ import annotations

from docs_site.html_links import find_broken_html_links, find_unreachable_pages
from mlops_assets.commands.replay import Replay
from mlops_assets.commands.summary import save_summary
from tests.integration.loop.conftest import NEXT_DAY, Loop


def test_links_of_the_reports_lead_somewhere(own: Loop, replay: Replay) -> None:
    """Another day passes, and the pages of a demo are written about it."""
    results = replay.run(NEXT_DAY, NEXT_DAY, lambda _: None)
    save_summary(own.workspace, results, elapsed_s=60.0, peak_memory_mb=None)
    reports = own.home / "reports"
    assert {"ledger.html", "lineage.html", "mails.html"} <= {path.name for path in reports.glob("*.html")}
    assert len(list(reports.rglob("*.html"))) > 20
    assert find_broken_html_links(reports) == []
    assert find_unreachable_pages(reports / "index.html") == []

"""From the index of reports every page of an operator is reached, and no link on the way leads nowhere."""

from __future__ import annotations

from docs_site.html_links import find_broken_html_links, find_unreachable_pages
from tests.integration.command_line import CommandLine
from tests.integration.loop.conftest import Loop


def test_links_of_the_reports_lead_somewhere(own: Loop, mlops: CommandLine) -> None:
    mlops.use(own.home, own.configs)
    assert mlops("run").status == 0
    reports = own.home / "reports"
    assert {"ledger.html", "lineage.html", "mails.html"} <= {path.name for path in reports.glob("*.html")}
    assert len(list(reports.rglob("*.html"))) > 20
    assert find_broken_html_links(reports) == []
    assert find_unreachable_pages(reports / "index.html") == []

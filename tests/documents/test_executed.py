"""The commands of every document, executed as a reader would: page by page, in a checkout and a data root of their own.

Blocks with a title are files or changes of files that the page asks for; they are made on the way.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_site.markdown_text import find_blocks
from tests.conventions.repository import text
from tests.documents.documents import DOCUMENTS, Checkout, reason_not_to_run, shell_blocks
from tests.integration.conftest import delivered  # noqa: F401 - a fixture

_TIMEOUT_S = 900  # of one block, on a busy machine
# Pages whose commands ask for something that is delivered, or lead through days.
_EXECUTED = [path for path in DOCUMENTS if any(not reason_not_to_run(block) for block in shell_blocks(path))]


@pytest.mark.slow
@pytest.mark.parametrize("document", _EXECUTED, ids=str)
def test_commands_do_what_the_page_says(document: Path, delivered: Path, tmp_path: Path) -> None:  # noqa: F811
    checkout = Checkout(tmp_path / "checkout")
    checkout.folder.mkdir()
    checkout.prepare(delivered)
    for block in find_blocks(text(document)):
        if block.title:
            checkout.put(block)
        elif block.language == "sh" and not reason_not_to_run(block):
            told = checkout.run(block, _TIMEOUT_S)
            assert told.returncode == 0, f"{document}:{block.line}\n{told.stdout}\n{told.stderr}"

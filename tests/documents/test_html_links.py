"""The check of HTML trees finds what is broken, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_site.html_links import find_broken_html_links, find_unreachable_pages


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two pages that link each other, a picture, and a file beside the tree."""
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "mail.html").write_text("<p>a mail</p>")
    (root / "a b.png").write_bytes(b"")
    (root / "index.html").write_text(
        '<h1 id="top">x</h1><a href="sub/page.html#part">in</a><a href="#top">up</a><img src="a%20b.png">'
        '<a href="../mail.html">mail</a><a href="https://dagster.io/x">web</a><a href="mailto:a@b.example">m</a>'
    )
    (root / "sub" / "page.html").write_text('<h2 id="part">y</h2><a href="../index.html#top">back</a>')
    return root


def test_a_sound_tree_has_no_problem(tree: Path) -> None:
    assert find_broken_html_links(tree) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ('<a href="gone.html">x</a>', "nothing at gone.html"),
        ('<a href="#bottom">x</a>', "no anchor for #bottom"),
        ('<a href="sub/page.html#whole">x</a>', "no anchor for sub/page.html#whole"),
        ('<img src="gone.png">', "nothing at gone.png"),
        ('<a href="/sub/page.html">x</a>', "nothing at /sub/page.html"),
        ('<link rel="stylesheet" href="gone.css">', "nothing at gone.css"),
        ('<a href="sub">x</a>', "nothing at sub"),
        (
            '<a href="file:///etc/passwd">x</a>',
            "neither a file nor an address of the web: file:///etc/passwd",
        ),
    ],
)
def test_broken_links_are_found(tree: Path, link: str, problem: str) -> None:
    page = tree / "index.html"
    page.write_text(page.read_text() + link)
    assert find_broken_html_links(tree) == [f"index.html: {problem}"]


def test_pages_that_nothing_links_are_found(tree: Path) -> None:
    assert find_unreachable_pages(tree / "index.html") == []
    (tree / "lost.html").write_text('<a href="index.html">home</a>')
    assert find_unreachable_pages(tree / "index.html") == ["lost.html"]


def test_a_link_to_a_folder_reaches_its_page(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text('<a href="below/">there</a>')
    (tmp_path / "below" / "index.html").write_text('<a href="other.html">on</a>')
    (tmp_path / "below" / "other.html").write_text("")
    assert find_broken_html_links(tmp_path) == []
    assert find_unreachable_pages(tmp_path / "index.html") == []

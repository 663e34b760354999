"""Blocks, links and anchors are read from Markdown as a reader sees them."""

from __future__ import annotations

import pytest

from docs_site.markdown_text import (
    TextLink,
    find_anchors,
    find_blocks,
    find_links,
    make_anchor,
    rewrite_links,
)

PAGE = """# A *page* of `code`

See [this](a.md) and `[not](b.md)`.

   <!-- not-run: a reason -->
   ```sh
   cd x
     deeper
   ```

```yaml title="configs/x.yaml"
# no heading
a: "[no](link.md)"
```

## Twice
## Twice
![picture of [x]](x.png)
"""


def test_blocks_keep_comment_title_and_inner_indentation() -> None:
    shell, yaml = find_blocks(PAGE)
    assert (shell.language, shell.comment, shell.line) == ("sh", "not-run: a reason", 6)
    assert shell.lines == ("cd x", "  deeper")
    assert (yaml.language, yaml.title, yaml.comment) == ("yaml", "configs/x.yaml", "")
    assert yaml.text == '# no heading\na: "[no](link.md)"\n'


def test_a_block_without_end_goes_to_the_end() -> None:
    (block,) = find_blocks("```sh\nls\n")
    assert block.lines == ("ls",)


def test_links_in_code_are_none() -> None:
    assert find_links(PAGE) == [TextLink("this", "a.md", False), TextLink("picture of [x]", "x.png", True)]


def test_rewriting_changes_links_and_nothing_else() -> None:
    changed = rewrite_links(PAGE, lambda link: f"<{link.target}>")
    assert changed == PAGE.replace("[this](a.md)", "<a.md>").replace("![picture of [x]](x.png)", "<x.png>")


def test_anchors_are_those_of_headings() -> None:
    assert find_anchors(PAGE) == {"a-page-of-code", "twice", "twice-1"}


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Back up, restore", "back-up-restore"),
        ("`mlops run`: a day", "mlops-run-a-day"),
        ("[Linked](x.md) words", "linked-words"),
        ("snake_case", "snake_case"),
    ],
)
def test_anchor_of_a_heading(heading: str, anchor: str) -> None:
    assert make_anchor(heading) == anchor

"""HTML pages from templates.

Belongs here: the template environment and what every page gets. Does not belong here: the content of a
report.

Every page is one file without outside references (it is mailed, copied and opened offline), reads whole without
its script, escapes all values, adapts to phone and desktop and to a light or dark screen, and carries
its title and data day in a form that the index page reads back.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mlops_assets.domain.reporting import formats
from mlops_assets.domain.reporting.sort_values import make_sort_values
from mlops_assets.domain.reporting.tables import Code, Link, Mark

if TYPE_CHECKING:
    import datetime as dt

    from jinja2 import Environment


def render_page(template: str, *, title: str, data_day: dt.date | None, **content: object) -> str:
    """Return a complete page.

    Args:
        template: file name in `templates/`.
        title: for the browser tab, the index page and the heading.
        data_day: newest day of data that the report rests on; None for reports without days.
        content: what else the template asks for; a missing name raises jinja2.UndefinedError.
    """
    page = _environment().get_template(template)
    script = read_page_script()
    return page.render(title=title, data_day=data_day, page_script=script, **content)


@dataclass(frozen=True)
class Script:
    """A script inside a page, and the source by which the page's own policy allows it and no other."""

    text: str

    @property
    def source(self) -> str:
        """Return the hash source of Content Security Policy level 3."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def read_page_script() -> Script:
    """Return the script of every page, by which its tables sort; it has no blanks to fill in."""
    return Script(_environment().get_template("sortable_tables.js.j2").render())


def remove_script(page: str) -> str:
    """Return a page that says the same without its script, for a mail: programs refuse files with one."""
    script = read_page_script()
    page = page.replace(f"; script-src {script.source}", "", 1)
    return page.replace(f"<script>{script.text}</script>\n", "", 1)


@cache
def _environment() -> Environment:
    """Return the environment; jinja2 is imported here to keep the code location light."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mlops_assets.domain.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("format_count", "format_number", "format_share", "format_interval", "format_day", "format_time")
    environment.filters.update({name: getattr(formats, name) for name in names})
    environment.filters["make_sort_values"] = make_sort_values
    environment.tests["mark"] = lambda cell: isinstance(cell, Mark)
    environment.tests["code"] = lambda cell: isinstance(cell, Code)
    environment.tests["link"] = lambda cell: isinstance(cell, Link)
    return environment

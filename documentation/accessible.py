"""What Sphinx and furo leave out for those who cannot see a page, or use no mouse; axe-core finds it in a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_MENDED: Final[Mapping[str, str]] = {
    # A heading says of which level it is, and of two asides which is which.
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    # The corner of a table is no heading.
    '<th class="head"><p></p></th>': '<td class="head"></td>',
    # What scrolls can be scrolled from the keyboard.
    '<div class="table-wrapper colwidths-auto docutils container">': (
        '<div class="table-wrapper colwidths-auto docutils container" tabindex="0">'
    ),
    "<pre>": '<pre tabindex="0">',
}


def mend(folder: Path) -> None:
    """This will mend every page of a built site."""
    for path in folder.rglob("*.html"):
        text = path.read_text("utf-8")
        for found, better in _MENDED.items():
            text = text.replace(found, better)
        path.write_text(text, encoding="utf-8")

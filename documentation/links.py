"""The links of a built site, looked over: each leads somewhere, and nothing is loaded from anywhere else."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

# Where a page names what a browser loads by itself, or goes to when asked.
_LOADED: Final = {"script": ("src",), "img": ("src", "srcset"), "source": ("src", "srcset"), "iframe": ("src",),
                  "link": ("href",), "object": ("data",), "video": ("src",), "audio": ("src",)}  # fmt: skip
_FOLLOWED: Final = {"a": "href", "area": "href"}
_IN_STYLES: Final = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
_LOOPBACK: Final = "127.0.0.1"  # what a page has started by then, on the reader's own machine
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


@dataclass(slots=True)
class Page:
    """What one page has and names: anchors, links, and what is loaded with it."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        given = {name: value for name, value in attrs if value is not None}
        self.page.anchors.update(given[name] for name in ("id", "name") if name in given)
        if (target := given.get(_FOLLOWED.get(tag, ""))) is not None:
            self.page.links.append(target)
        self.page.loaded += [given[name] for name in _LOADED.get(tag, ()) if name in given]
        self.page.loaded += _in_styles(given.get("style", ""))


def read_site(folder: Path) -> Mapping[str, Page]:
    """This will read every page of a site, by its path."""
    return {path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*.html"))}


def bring_files(pages: Mapping[str, Page], repository: Path, folder: Path) -> None:
    """This will bring into the site, at their own path, the files of the repository that its pages link to."""
    for name, page in pages.items():
        for target in page.links:
            path = _path(name, target)
            if path is None or path.startswith("..") or (folder / path).exists():
                continue
            if (repository / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(repository / path, folder / path)


def faults(pages: Mapping[str, Page], folder: Path) -> Sequence[str]:
    """A line for each link that leads nowhere, and for whatever is loaded from elsewhere."""
    found = [fault for name, page in pages.items() for fault in _page_faults(name, page, pages, folder)]
    for style in sorted(folder.rglob("*.css")):
        name = style.relative_to(folder).as_posix()
        loaded = _in_styles(style.read_text("utf-8"))
        found += [fault for target in loaded if (fault := _loading_fault(name, target, folder))]
    return found


def elsewhere(pages: Mapping[str, Page]) -> tuple[str, ...]:
    """Every address of another host that the pages lead to."""
    return tuple(sorted({target for page in pages.values() for target in page.links if _is_elsewhere(target)}))


def _read(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page


def _page_faults(name: str, page: Page, pages: Mapping[str, Page], folder: Path) -> Iterator[str]:
    for target in page.loaded:
        if fault := _loading_fault(name, target, folder):
            yield fault
    for target in page.links:
        if _is_elsewhere(target):
            if fault := _address_fault(target):
                yield f"{name}: {target}: {fault}"
            continue
        path, anchor = _path(name, target), unquote(urlsplit(target).fragment)
        if path is None or path.startswith("..") or not (folder / path).is_file():
            yield f"{name}: {target}: there is no such page or file"
        elif anchor and path in pages and anchor not in pages[path].anchors:
            yield f"{name}: {target}: the page has no such anchor"


def _loading_fault(name: str, target: str, folder: Path) -> str | None:
    if target.startswith("data:"):
        return None
    if _is_elsewhere(target):
        return f"{name}: {target}: is loaded from another host"
    path = _path(name, target)
    return None if path is not None and (folder / path).is_file() else f"{name}: {target}: there is no such file"


def _is_elsewhere(target: str) -> bool:
    parts = urlsplit(target)
    return bool(parts.scheme or parts.netloc)


def _address_fault(target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme == "mailto" or parts.hostname == _LOOPBACK:
        return None
    if parts.scheme != "https":
        return "addresses of others begin with https://"
    return None if parts.hostname and _HOST.fullmatch(parts.hostname) else "has no well-formed host"


def _path(name: str, target: str) -> str | None:
    """Where a link leads from a page, as a path of the site; None where it is no path."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    steps = name.split("/")[:-1] if parts.path else name.split("/")
    for step in unquote(parts.path).split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def _in_styles(text: str) -> list[str]:
    return [found[0] or found[1] for found in _IN_STYLES.findall(text)]

"""The site is whole, and each thing that can be wrong with it stops the build."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from documentation.links import Page, read_site
from documentation.site import Site, SiteFaults, build, documents
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab
from tests.e2e.browsing import MISSING, a_browser, a_tab, find_chromium

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "billing-alerts.yml"
LOOKED_AT = (
    "docs/index.html",
    "docs/explanation/purchase-life.html",
    "docs/reference/settings.html",
    "docs/reference/error-codes.html",
)
HOME = "# Home\n\n## Start here\n\n- [One](one.md)\n- [Two](two.md)\n- [All of it](../README.md)\n"
SOUND = {
    "README.md": "# Read me\n\n[one](docs/one.md#a-part) and [a file](data.txt)\n",
    "data.txt": "data\n",
    "docs/index.md": HOME,
    "docs/one.md": "# One\n\n## A part\n\n[two](two.md), [above](#one), [them](https://others.example/x)\n",
    "docs/two.md": "# Two\n\n[home](index.md), [a file](../data.txt)\n",
}
# What is wrong, how it is written, and what is told of it. Sphinx finds these, all in one build.
FOUND_BY_SPHINX = {
    "a link to a page": ("[x](gone.md)", "gone.md"),
    "a link to a file": ("[x](../gone.txt)", "../gone.txt"),
    "an anchor of another page": ("[x](two.md#nowhere)", "nowhere"),
    "an anchor of the page": ("[x](#no-such-part)", "no-such-part"),
    "a picture": ("![x](gone.png)", "gone.png"),
    "a cross-reference to code": ("{py:class}`billing_core.Gone`", "billing_core.Gone"),
    "a cross-reference to a label": ("{ref}`gone-label`", "gone-label"),
    "a heading that skips a level": ("### Deep", "header level"),
    "a block in a language that is none": ("```no-such-language\nx\n```", "no-such-language"),
}
# And these are found in what it built.
FOUND_AFTERWARDS = {
    "something of another host": ('<img src="https://cdn.example/a.png">', "is loaded from another host"),
    "an address that is not https": ("[x](http://others.example/)", "addresses of others begin with https://"),
    "a link written as HTML": ('<a href="gone.html">x</a>', "there is no such page or file"),
}


@dataclass(frozen=True, slots=True)
class Built:
    """The project's own site."""

    pages: Mapping[str, Page]
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built as `script/docs` builds it, which must be content."""
    work = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "documentation", "--into", str(work)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Built(read_site(work / "site"), work / "site")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Without one the test is skipped, or fails where it must run."""
    found = find_chromium()
    if found is None:
        (pytest.fail if os.environ.get("BILLING_REQUIRE_CHROMIUM") == "1" else pytest.skip)(MISSING)
    with a_browser(found) as running:
        yield running


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """What is told of a site with every fault that Sphinx finds, and an orphan."""
    pages = {f"docs/fault-{number}.md": f"# Fault {number}\n\n{text}\n" for number, (text, _) in _numbered()}
    home = HOME + "".join(f"- [Fault](fault-{number}.md)\n" for number, _ in _numbered())
    files = {**SOUND, **pages, "docs/index.md": home, "docs/orphan.md": "# Orphan\n"}
    with pytest.raises(SiteFaults) as faults:
        build_small(tmp_path_factory.mktemp("faulty"), files)
    return str(faults.value).splitlines()


def _numbered() -> Sequence[tuple[int, tuple[str, str]]]:
    return list(enumerate(FOUND_BY_SPHINX.values()))


def build_small(folder: Path, files: Mapping[str, str]) -> Site:
    """This will build the site of a repository with these files."""
    for name, text in files.items():
        (folder / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "repository" / name).write_text(text, encoding="utf-8")
    return build(folder / "repository", folder / "work", generated={})


class TestTheSite:
    def test_every_document_is_a_page(self, site: Built) -> None:
        """At the path it has in the repository."""
        wanted = {path.removesuffix(".md") + ".html" for path in documents(ROOT)}

        assert len(wanted) > 50
        assert wanted <= site.pages.keys()

    def test_every_alert_leads_to_its_entry(self, site: Built) -> None:
        """`runbook_url` is a path from the root, in the repository and in the site alike."""
        groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
        urls = [urlsplit(rule["annotations"]["runbook_url"]) for group in groups for rule in group["rules"]]

        missing = [
            url for url in urls if url.fragment not in site.pages[url.path.removesuffix(".md") + ".html"].anchors
        ]
        assert len(urls) > 20
        assert missing == []

    def test_a_page_s_source_leads_to_the_page(self, site: Built) -> None:
        """And from the page itself to the file, which stands in the site."""
        assert "docs/reference/http-api.html" in site.pages["README.html"].links
        assert "../../schemas/openapi.json" in site.pages["docs/reference/http-api.html"].links
        assert (site.folder / "schemas" / "openapi.json").read_bytes() == (ROOT / "schemas/openapi.json").read_bytes()

    def test_public_names_have_their_place(self, site: Built) -> None:
        """Of the client and of the core."""
        assert (
            "billing_client.BillingClient.create_purchase"
            in site.pages["docs/reference/python/billing-client.html"].anchors
        )
        assert "billing_core.testing.InMemoryBilling" in site.pages["docs/reference/python/testing.html"].anchors

    def test_its_root_leads_to_the_first_page(self, site: Built) -> None:
        """Whoever opens the folder is there."""
        assert site.pages["index.html"].links == ["docs/index.html"]


class TestInABrowser:
    @pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
    def test_pages_can_be_used_by_everybody(
        self, site: Built, browser: Browser, width: int, scheme: Literal["light", "dark"]
    ) -> None:
        """axe-core finds nothing wrong, nothing is asked of a network, and no page is wider than the screen."""
        asked: list[str] = []
        with a_tab(browser, width=width) as tab:
            tab.on("request", lambda request: asked.append(request.url))
            tab.emulate_media(color_scheme=scheme)
            for path in LOOKED_AT:
                tab.goto((site.folder / path).as_uri())
                wrong = [f"{path} {rule['id']}: {rule['nodes'][0]['html']}" for rule in _violations(tab)]
                assert wrong == []
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, path

        assert [url for url in asked if urlsplit(url).scheme not in ("file", "data")] == []


def _violations(tab: Tab) -> Sequence[Mapping[str, Any]]:
    violations: Sequence[Mapping[str, Any]] = Axe().run(tab, options={"preload": False}).response["violations"]
    return violations


class TestFaults:
    def test_a_sound_repository_is_built(self, tmp_path: Path) -> None:
        """With its files, and what it leads to elsewhere."""
        built = build_small(tmp_path, SOUND)

        assert "https://others.example/x" in built.elsewhere
        assert (built.folder / "data.txt").read_text() == "data\n"

    @pytest.mark.parametrize("number", range(len(FOUND_BY_SPHINX)), ids=list(FOUND_BY_SPHINX))
    def test_each_fault_stops_the_build(self, told: Sequence[str], number: int) -> None:
        """It is told with the page it stands in."""
        _, words = list(FOUND_BY_SPHINX.values())[number]

        assert [line for line in told if re.match(rf"docs/fault-{number}\.md\b", line) and words in line]

    def test_an_orphan_stops_the_build(self, told: Sequence[str]) -> None:
        """A page that stands in no list of the first page."""
        assert [line for line in told if line.startswith("docs/orphan.md") and "toctree" in line]

    def test_nothing_else_is_told(self, told: Sequence[str]) -> None:
        """No sound page has a fault."""
        assert [line for line in told if line.startswith("docs/") and not re.match(r"docs/(fault-|orphan)", line)] == []

    def test_what_sphinx_does_not_see_stops_the_build(self, tmp_path: Path) -> None:
        """Another host's picture, an address without TLS, HTML by hand."""
        text = "\n\n".join(text for text, _ in FOUND_AFTERWARDS.values())

        with pytest.raises(SiteFaults) as faults:
            build_small(tmp_path, {**SOUND, "docs/two.md": f"# Two\n\n{text}\n"})

        lines = str(faults.value).splitlines()
        assert len(lines) == len(FOUND_AFTERWARDS)
        for _, words in FOUND_AFTERWARDS.values():
            assert [line for line in lines if line.startswith("docs/two.html: ") and line.endswith(words)]

    def test_a_page_that_is_generated_cannot_be_written(self, tmp_path: Path) -> None:
        """One of the two would be lost."""
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.md").write_text("# A\n")

        with pytest.raises(SiteFaults, match=r"docs/a\.md"):
            build(tmp_path, tmp_path / "work", generated={"docs/a.md": "# A\n"})

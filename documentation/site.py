"""The site: its sources laid out, built by Sphinx with every warning an error, and looked over."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from documentation import links
from documentation.accessible import mend
from documentation.elsewhere import Verdict, judge, read_answers
from documentation.navigation import add_navigation

CONFIGURATION: Final = Path(__file__).parent
# What is a page. Anything else that a page links to stands in the site as it is.
DOCUMENTS: Final = (
    "*.md",
    "docs/**/*.md",
    "deploy/**/*.md",
    "packages/*/README.md",
    "apps/*/README.md",
    "examples/*/README.md",
)
_PICTURES: Final = ("docs/**/*.svg", "docs/**/*.png")


class SiteFaults(Exception):
    """The site cannot be built, or is not whole: a line for each thing that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site that is whole: where it stands, how many pages it has, and what it leads to elsewhere."""

    folder: Path
    pages: int
    elsewhere: tuple[str, ...]


def documents(repository: Path) -> Mapping[str, str]:
    """Every document of the repository that is a page, by its path."""
    found = sorted({path for pattern in DOCUMENTS for path in repository.glob(pattern)})
    return {path.relative_to(repository).as_posix(): path.read_text("utf-8") for path in found}


def build(repository: Path, work: Path, generated: Mapping[str, str]) -> Site:
    """This will build the site of a repository below `work`, with pages that were generated, and look it over. Raises
    SiteFaults, naming everything that is wrong."""
    source, folder = work / "source", work / "site"
    for stale in (source, folder):
        shutil.rmtree(stale, ignore_errors=True)
    _lay_out(repository, source, generated)
    done = _run_sphinx("html", repository, source, folder)
    if done.returncode != 0 or done.stderr.strip():
        raise SiteFaults(done.stderr.strip().replace(f"{source}/", "") or f"Sphinx ended with {done.returncode}")
    mend(folder)
    found = links.read_site(folder)
    links.bring_files(found, repository, folder)
    if faults := links.faults(found, folder):
        raise SiteFaults("\n".join(faults))
    return Site(folder=folder, pages=len(found), elsewhere=links.elsewhere(found))


def ask_elsewhere(repository: Path, work: Path, generated: Mapping[str, str]) -> Verdict:
    """This will ask every address of others that the documents lead to. Raises SiteFaults where Sphinx did not get so
    far."""
    source, folder = work / "source", work / "asked"
    for stale in (source, folder):
        shutil.rmtree(stale, ignore_errors=True)
    _lay_out(repository, source, generated)
    done = _run_sphinx("linkcheck", repository, source, folder)
    if not (folder / "output.json").is_file():
        raise SiteFaults(done.stderr.strip())
    return judge(read_answers(folder / "output.json"))


def _lay_out(repository: Path, source: Path, generated: Mapping[str, str]) -> None:
    written = documents(repository)
    if doubled := written.keys() & generated.keys():
        raise SiteFaults("\n".join(f"{path}: is generated, so it cannot be written" for path in sorted(doubled)))
    for path, text in {**add_navigation(written), **generated}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    for picture in (path for pattern in _PICTURES for path in repository.glob(pattern)):
        target = source / picture.relative_to(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)


def _run_sphinx(builder: str, repository: Path, source: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    options = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--fresh-env", "--no-color"]
    settings = ["--conf-dir", str(CONFIGURATION), "--define", f"billing_repository={repository}"]
    command = [sys.executable, "-m", "sphinx", "--builder", builder, *options, *settings]
    return subprocess.run(
        [*command, "--doctree-dir", str(folder.with_name("doctrees")), str(source), str(folder)],
        cwd=CONFIGURATION.parent,
        capture_output=True,
        text=True,
        check=False,
    )

"""The links of every Markdown file, as they stand in the repository."""

from pathlib import Path

import pytest
from documentation.markdown_links import faults, markdown_files

ROOT = Path(__file__).parents[2]
SOUND = {
    "README.md": "# All of it\n\n[a](docs/a.md#first-part) [b](docs) [c](docs/a.md#first-part-1) [d](#all-of-it)\n",
    "docs/a.md": "# A\n\n## First `part`!\n\n## First part\n\n[up](../README.md) [them](https://other.example/x#y)\n",
}


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    """A repository with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_link_of_every_document_leads_somewhere() -> None:
    """README and docs, packages and examples, tests and all: to a file, a folder or a heading that is there."""
    assert len(markdown_files(ROOT)) > 50

    assert faults(ROOT) == []


def test_a_sound_repository_has_no_faults(tmp_path: Path) -> None:
    """Headings with code in them, headings that come twice, folders, and addresses of others."""
    assert faults(lay_out(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](gone.md)", "there is no such file"),
        ("![x](gone.png)", "there is no such file"),
        ("| [x](gone) |\n|---|\n", "there is no such file"),
        ("[x](a.md#second-part)", "there is no such heading"),
        ("[x](#nowhere)", "there is no such heading"),
        ("[x](../README.md#all)", "there is no such heading"),
        ("[x](../../elsewhere.md)", "leads out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, text: str, fault: str) -> None:
    """With the file it stands in."""
    repository = lay_out(tmp_path, {**SOUND, "docs/b.md": f"# B\n\n{text}\n"})

    (told,) = faults(repository)

    assert told.startswith("docs/b.md: ")
    assert told.endswith(fault)

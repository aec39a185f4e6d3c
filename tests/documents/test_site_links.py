"""What is looked for in a built site, on sites of a few lines."""

from pathlib import Path

import pytest
from documentation.elsewhere import Asked, judge, read_answers
from documentation.links import bring_files, elsewhere, faults, read_site

A_PAGE = '<p id="top">{}</p><a href="other.html#there">x</a><a href="#top">up</a>'
OTHER = '<h1 id="there">Other</h1><link rel="stylesheet" href="style.css"><a href="https://others.example/x">x</a>'


def site_of(folder: Path, given: str, style: str = "body { background: url(data:image/png;base64,AA) }") -> Path:
    """A site of two pages, one of which has what is given."""
    (folder / "page.html").write_text(A_PAGE.format(given))
    (folder / "other.html").write_text(OTHER)
    (folder / "style.css").write_text(style)
    return folder


def test_a_sound_site_has_no_faults(tmp_path: Path) -> None:
    """And tells which addresses of others it leads to."""
    folder = site_of(tmp_path, '<a href="./other.html">x</a><a href="mailto:a@b.example">x</a>')
    pages = read_site(folder)

    assert faults(pages, folder) == []
    assert elsewhere(pages) == ("https://others.example/x", "mailto:a@b.example")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ('<a href="gone.html">x</a>', "page.html: gone.html: there is no such page or file"),
        ('<a href="../gone.html">x</a>', "page.html: ../gone.html: there is no such page or file"),
        ('<a href="other.html#here">x</a>', "page.html: other.html#here: the page has no such anchor"),
        ('<a href="#here">x</a>', "page.html: #here: the page has no such anchor"),
        ('<img src="gone.png">', "page.html: gone.png: there is no such file"),
        ('<img src="https://cdn.example/a.png">', "page.html: https://cdn.example/a.png: is loaded from another host"),
        ('<script src="//cdn.example/a.js"></script>', "page.html: //cdn.example/a.js: is loaded from another host"),
        ('<p style="background: url(//b.example/a)">', "page.html: //b.example/a: is loaded from another host"),
        ('<a href="http://b.example">x</a>', "page.html: http://b.example: addresses of others begin with https://"),
        ('<a href="https://others example">x</a>', "page.html: https://others example: has no well-formed host"),
        ('<a href="https://localhost">x</a>', "page.html: https://localhost: has no well-formed host"),
    ],
)  # fmt: skip
def test_each_fault_is_told(tmp_path: Path, given: str, fault: str) -> None:
    """With the page, what it names, and what is wrong."""
    folder = site_of(tmp_path, given)

    assert faults(read_site(folder), folder) == [fault]


@pytest.mark.parametrize(
    "style", ["@import 'https://fonts.example/a.css';", "a { src: url(https://fonts.example/a.css) }"]
)
def test_a_style_that_fetches_is_told(tmp_path: Path, style: str) -> None:
    """A web font would be asked for by every reader's browser."""
    folder = site_of(tmp_path, "", style)

    assert faults(read_site(folder), folder) == ["style.css: https://fonts.example/a.css: is loaded from another host"]


def test_a_file_of_the_repository_comes_along(tmp_path: Path) -> None:
    """At its own path; one that is not there does not, and nothing from outside does."""
    repository, folder = tmp_path / "repository", tmp_path / "site"
    (repository / "schemas").mkdir(parents=True)
    (repository / "schemas" / "a.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    folder.mkdir()
    site_of(folder, '<a href="schemas/a.json">a</a><a href="schemas/b.json">b</a><a href="../secret">c</a>')
    pages = read_site(folder)

    bring_files(pages, repository, folder)

    assert (folder / "schemas" / "a.json").read_text() == "{}"
    assert len(faults(pages, folder)) == 2


class TestAddressesOfOthers:
    def test_what_sphinx_found_out_is_read(self, tmp_path: Path) -> None:
        """Each address of another host once, and nothing within the site."""
        address = '"uri": "https://others.example/x", "status": "broken", "info": "404"'
        lines = [f'{{"filename": "{name}", "lineno": 1, "code": 0, {address}}}' for name in ("a.md", "b.md")]
        lines.append('{"filename": "a.md", "lineno": 1, "code": 0, "uri": "#top", "status": "unchecked", "info": ""}')
        (tmp_path / "output.json").write_text("\n".join(lines) + "\n")

        (read,) = read_answers(tmp_path / "output.json")

        assert read == Asked(address="https://others.example/x", status="broken", why="404")

    def asked(self, status: str, why: str = "") -> Asked:
        return Asked(address="https://others.example", status=status, why=why)

    def test_one_that_is_gone_is_broken(self) -> None:
        """Where another one answers."""
        gone = self.asked("broken", "404 Client Error: Not Found")

        verdict = judge([self.asked("working"), self.asked("redirected"), gone])

        assert (verdict.answered, verdict.broken, verdict.offline) == (2, [gone], False)

    def test_silence_of_all_is_no_network(self) -> None:
        """Then nothing is known, and nothing is called broken."""
        silent = [self.asked("timeout"), self.asked("broken", "Max retries exceeded with url: /")]

        verdict = judge(silent)

        assert (verdict.broken, verdict.offline) == ((), True)

    def test_silence_of_one_is_told(self) -> None:
        """A host that is gone for ever does not answer either."""
        silent = self.asked("broken", "Max retries exceeded with url: /")

        assert judge([self.asked("working"), silent]).broken == [silent]
        assert not judge([self.asked("broken", "404"), silent]).offline

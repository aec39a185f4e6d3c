"""Licences: listed as the packages tell them, and only those that somebody allowed."""

import pytest
from supply_chain.licences import LIST, Rules, current_list, is_allowed, list_licences, read_list, read_rules
from supply_chain.lock import EVERYTHING, Pin, read_image, read_lock

MENDED_WITH = "mend with: script/licences"


def a_pin(name: str, version: str = "1.0") -> Pin:
    """A pin of a package."""
    return Pin(name=name, version=version, marker=None, hashes=(), wanted_by=())


def the_pin(name: str) -> Pin:
    """The pin of a package that is installed here."""
    return next(pin for pin in read_lock(EVERYTHING) if pin.name == name)


def test_the_list_is_what_is_locked_and_what_the_packages_say() -> None:
    """`docs/licences.md` is what `script/licences` would write now."""
    assert LIST.read_text("utf-8") == current_list(), MENDED_WITH


def test_the_list_has_every_pin() -> None:
    """Nothing is left out, also what is installed elsewhere only."""
    assert set(read_list()) == {(pin.name, pin.version) for pin in read_lock(EVERYTHING)}
    assert LIST.read_text("utf-8").count("| yes |") == len(read_image())


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MIT AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("LicenseRef-Proprietary", False),
    ],
)
def test_an_expression_is_met_by_allowed_licences_alone(licence: str, fine: bool) -> None:
    """All sides of an AND, one of an OR; an exception is another licence."""
    rules = read_rules()

    try:
        allowed = is_allowed(licence, rules.allowed)
    except Exception as unknown:  # noqa: BLE001 - the library's own error: it knows no such licence
        allowed = "Unknown license" not in str(unknown)
    assert allowed is fine


def test_a_package_without_a_licence_is_refused_by_name() -> None:
    """Not installed and not stated: nobody knows, so nobody may use it."""
    with pytest.raises(ValueError, match=r"never-heard-of==1\.0: its metadata does not tell"):
        list_licences([a_pin("never-heard-of")], [], Rules(allowed=frozenset({"MIT"}), stated={}))


def test_a_licence_that_is_not_allowed_is_refused() -> None:
    """What an installed package says is held to the list."""
    pytest_pin = the_pin("pytest")

    with pytest.raises(ValueError, match=r"pytest==.*: MIT is not allowed"):
        list_licences([pytest_pin], [], Rules(allowed=frozenset({"ISC"}), stated={}))


def test_what_was_stated_counts_only_where_the_package_is_silent() -> None:
    """Metadata wins over a statement; `BSD` alone is no licence, so there the statement decides."""
    pins = [the_pin("pytest"), the_pin("jinja2")]
    stated = {"pytest": "ISC", "jinja2": "BSD-3-Clause"}

    text = list_licences(pins, [], Rules(allowed=frozenset({"MIT", "BSD-3-Clause"}), stated=stated))

    assert f"| pytest | {pins[0].version} | MIT |" in text
    assert f"| jinja2 | {pins[1].version} | BSD-3-Clause |" in text


def test_another_version_than_the_installed_one_is_not_taken_for_it() -> None:
    """The licence of the version at hand says nothing about another."""
    with pytest.raises(ValueError, match=r"pytest==0\.1"):
        list_licences([a_pin("pytest", "0.1")], [], Rules(allowed=frozenset({"MIT"}), stated={}))


def test_a_statement_about_nothing_is_refused() -> None:
    """What is not pinned any more needs no statement."""
    with pytest.raises(ValueError, match="gone: stated in"):
        list_licences([], [], Rules(allowed=frozenset(), stated={"gone": "MIT"}))

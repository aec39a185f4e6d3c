"""What the drills break things with: small disks, and clocks that are wrong."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from tests.faults.drills import clocks

ROOT = Path(__file__).parents[3]
# In a process of its own: nobody gets back the view of the mounts they had.
FILL = """
import errno, sys
from pathlib import Path
from tests.faults.drills.small_disks import CannotMount, SmallDisk, enter_own_mounts
folder = Path(sys.argv[1])
try:
    enter_own_mounts()
    disk = SmallDisk(folder, 1 << 20)
except CannotMount as why:
    print(why)
    raise SystemExit(77)
disk.fill()
try:
    (folder / "more").write_bytes(b"x")
except OSError as full:
    assert full.errno == errno.ENOSPC, full
else:
    raise SystemExit("the disk is not full")
disk.empty()
(folder / "more").write_bytes(b"x")
"""
TELL = """
from tests.faults.drills import clocks
import billing_adapters.clock, time, uuid
clocks.set_as_told()
print(billing_adapters.clock.SystemClock().now().timestamp(), time.time(), billing_adapters.clock.new_id())
"""


class TestSmallDisk:
    def test_a_full_disk_takes_nothing_until_there_is_room_again(self, tmp_path: Path) -> None:
        """The kernel itself says "no space left on device", and only this process sees the disk."""
        ended = _run(FILL, str(tmp_path))
        if ended.returncode == 77:
            pytest.skip(f"this machine cannot: {ended.stdout}")

        assert ended.returncode == 0, ended.stderr
        assert list(tmp_path.iterdir()) == []


class TestClock:
    @pytest.mark.parametrize("offset_s", [clocks.AN_HOUR_S, -clocks.AN_HOUR_S, 0])
    def test_everything_the_process_reads_of_the_time_is_off(self, offset_s: int) -> None:
        """The clock port, what libraries read, and the time in new ids."""
        before = datetime.now(UTC)
        ended = _run(TELL, offset=str(offset_s))
        after = datetime.now(UTC)

        clock, library, made = ended.stdout.split()
        for told in (float(clock), float(library), (UUID(made).int >> 80) / 1000):
            moment = datetime.fromtimestamp(told, UTC) - timedelta(seconds=offset_s)
            assert before - timedelta(milliseconds=1) <= moment <= after


def _run(code: str, *arguments: str, offset: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), clocks.OFFSET: offset},
        capture_output=True,
        text=True,
        check=False,
    )

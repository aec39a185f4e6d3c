"""The embedded servers never outlive their owner."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.embedding import an_owner, family, is_alive, wait_until

from billing_adapters.embedded import ALL_SERVERS, EmbeddedServers, EmbeddedServersError

NAMES = sorted(ALL_SERVERS)


class TestNothingIsLeft:
    def test_stop_leaves_no_process(self, tmp_path: Path) -> None:
        """When `stop` returns, the supervisor and every process below it are gone."""
        stopped = EmbeddedServers(tmp_path, durable=False)
        stopped.start()
        everything = [process.pid for process in family(stopped.pids()["supervisor"])]

        stopped.stop()

        assert len(everything) > len(NAMES)
        assert not [pid for pid in everything if is_alive(pid)]

    @pytest.mark.parametrize(
        "victim",
        [
            "owner",
            pytest.param(
                "supervisor",
                marks=pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG"),
            ),
        ],
    )
    def test_sigkill_leaves_no_process(self, tmp_path: Path, victim: str) -> None:
        """SIGKILL of the owner, or of the supervisor, ends every process of the servers."""
        with an_owner(tmp_path) as (owner, pids):
            everything = [process.pid for process in family(pids["supervisor"])]

            os.kill(owner.pid if victim == "owner" else pids["supervisor"], signal.SIGKILL)

            wait_until(lambda: not [pid for pid in everything if is_alive(pid)])
        assert len(everything) > len(NAMES)

    @pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG to end the other two")
    def test_orphan_is_ended_by_the_next_start(self, tmp_path: Path) -> None:
        """A server that outlived its supervisor is ended by the next start of the folder."""
        first = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}))
        first.start()
        orphan, supervisor = first.pids()["redis"], first.pids()["supervisor"]
        first.pause_server("redis")  # frozen, it cannot follow its supervisor
        os.kill(supervisor, signal.SIGKILL)
        first.stop()
        assert is_alive(orphan)

        with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"})):
            assert not is_alive(orphan)

    def test_recorded_number_of_another_program_is_left_alone(self, tmp_path: Path) -> None:
        """A recorded process id that now belongs to another program is not touched."""
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            (tmp_path / "processes.json").write_text(json.dumps({"redis": [stranger.pid, signal.SIGTERM]}))

            with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"})):
                assert stranger.poll() is None

            stranger.communicate(b"\n")

    def test_lost_supervisor_is_an_error_that_names_its_log(self, tmp_path: Path) -> None:
        """Asking servers whose supervisor is gone raises, and says which log to read."""
        lost = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}))
        lost.start()
        os.kill(lost.pids()["supervisor"], signal.SIGKILL)

        with pytest.raises(EmbeddedServersError, match=r"supervisor\.log"):
            wait_until(lambda: not lost.exited() and False)
        lost.stop()

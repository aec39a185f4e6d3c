"""Secrets in the configuration are never shown, and what belongs to development does not start in production."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from billing_adapters.settings import InvalidConfiguration, Settings, load_settings
from billing_cli.configuration import MASK, describe
from billing_cli.main import app
from billing_http.main import main as http_main
from billing_worker.main import main as worker_main

CANARY = "canary-4f1d"
SECRETS = sorted(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))
SOUNDS_SECRET = re.compile(r"secret|password|_token$|_key$|_private|^(database|redis|nats)_url$")
URLS = {
    "database_url": f"postgresql://billing:{CANARY}@127.0.0.1:1/billing",
    "redis_url": f"redis://:{CANARY}@127.0.0.1:1/0",
    "nats_url": f"nats://{CANARY}@127.0.0.1:1,nats://user:{CANARY}@127.0.0.1:2",
}
PEM = f"-----BEGIN PUBLIC KEY-----\n{CANARY}\n-----END PUBLIC KEY-----"


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment and a folder without settings."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"BILLING_{field.upper()}", raising=False)
        monkeypatch.delenv(f"BILLING_{field.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def value_of(name: str) -> str:
    """A value with the canary in it that the setting takes."""
    return URLS.get(name, PEM if name.startswith("jwt_public_key") else f"{CANARY}-{'x' * 40}")


def test_whatever_sounds_secret_is_one() -> None:
    """A new setting that holds a secret cannot be a plain text by mistake."""
    sounding = {name for name in Settings.model_fields if SOUNDS_SECRET.search(name)}

    assert sounding - set(SECRETS) == set()
    assert len(SECRETS) >= 12


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not by `billing config show`, with or without --json, nor by whoever prints or copies the settings."""
    monkeypatch.setenv(f"BILLING_{name.upper()}", value_of(name))

    settings = load_settings()
    shown = {each.variable: each for each in describe(settings)}[f"BILLING_{name.upper()}"]
    printed = [CliRunner().invoke(app, ["config", "show", *more]).stdout for more in ([], ["--json"])]

    assert isinstance(getattr(settings, name), SecretStr)
    assert MASK in str(shown.value)
    assert shown.source == "environment"
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json(), *printed):
        assert CANARY not in text
    assert all(f"BILLING_{name.upper()}" in text for text in printed)


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """As orchestrators hand them over; shown is where it came from, not what it is."""
    file = tmp_path / "secret"
    file.write_text(value_of(name) + "\n")
    monkeypatch.setenv(f"BILLING_{name.upper()}_FILE", str(file))

    settings = load_settings()

    secret = getattr(settings, name)
    assert secret.get_secret_value() == value_of(name)
    shown = {each.variable: each for each in describe(settings)}[f"BILLING_{name.upper()}"]
    assert shown.source == f"file {file}"
    assert CANARY not in str(shown.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BILLING_DATABASE_URL", f"mysql://u:{CANARY}@h/d"),
        ("BILLING_JWT_PUBLIC_KEY", CANARY),
        ("BILLING_PORT", CANARY),
    ],
)
def test_a_refusal_does_not_repeat_what_was_set(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """Somebody may have put a secret into the wrong variable: the refusal names the variable alone."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidConfiguration, match=variable) as refused:
        load_settings()

    assert CANARY not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("main", [http_main, worker_main], ids=["http", "worker"])
@pytest.mark.parametrize("secret", [None, "development-secret-never-use-in-production", "short"])
def test_no_process_starts_in_production_on_what_belongs_to_development(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], main: Callable[[], int], secret: str | None
) -> None:
    """Both end with 1 and name each thing to mend; the sample secret is not repeated."""
    monkeypatch.setenv("BILLING_ENV", "production")
    if secret is not None:
        monkeypatch.setenv("BILLING_JWT_SECRET", secret)

    code = main()

    told = capsys.readouterr().err
    assert code == 1
    assert "refusing to start in production" in told
    for mend in ("BILLING_JWT_SECRET", "take sandbox out", "sample password"):
        assert mend in told
    assert secret is None or f"{secret}\n" not in told

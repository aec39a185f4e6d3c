"""Reading a URL that names several hosts: the sentinels that know the primary, or nodes of a cluster.

Redis itself knows no such URL; this is the form that other clients' libraries have for it.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from billing_adapters.settings import InvalidConfiguration

Kind = Literal["sentinel", "cluster"]

_FORMS: Final[dict[Kind, str]] = {
    "sentinel": "redis+sentinel://:PASSWORD@HOST:26379,HOST:26379,HOST:26379/SERVICE/0 (rediss+sentinel:// for TLS)",
    "cluster": "redis+cluster://:PASSWORD@HOST:6379,HOST:6379,HOST:6379 (rediss+cluster:// for TLS)",
}
_KINDS: Final[dict[str, Kind]] = {"sentinel": "sentinel", "cluster": "cluster"}
_PORTS: Final[dict[Kind, int]] = {"sentinel": 26379, "cluster": 6379}
_ESCAPES: Final = "with / ? # % in a password as %2F %3F %23 %25"
_HOST: Final = re.compile(r"(?P<name>[^\s:\[\]@]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?")
_SERVICE: Final = re.compile(r"/(?P<service>[A-Za-z0-9._-]+)(?:/(?P<db>\d{1,4})?)?")
_SENTINELS_LOGIN: Final = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisPlaces:
    """What such a URL says. `service` is the name the sentinels know the primary by."""

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def urls(self) -> tuple[str, ...]:
        """Each host as a URL of its own, without a login."""
        scheme = "rediss" if self.tls else "redis"
        return tuple(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host, port in self.hosts)


def places_of(url: str) -> RedisPlaces | None:
    """The hosts the URL names, where it is of a kind that names several; None where it is not.

    Raises InvalidConfiguration, saying what is missing, and nothing of what the URL has: that may be a password's part.
    """
    scheme, _, name = url.partition("://")[0].lower().partition("+")
    kind = _KINDS.get(name)
    if kind is None or scheme not in ("redis", "rediss"):
        return None
    try:
        parts = urlsplit(url)
        more = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # brackets without an address, or a question mark without a question
        raise _wrong(kind, "cannot be read") from None
    if "@" in parts.path + parts.query or parts.fragment:
        raise _wrong(kind, f"has a login that cannot be told from the rest ({_ESCAPES})")
    login, at, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    if at and not password:
        raise _wrong(kind, "has a login without a password (:PASSWORD@ or USER:PASSWORD@)")
    service, db = _service(parts.path) if kind == "sentinel" else _no_service(parts.path)
    if set(more) - (_SENTINELS_LOGIN if kind == "sentinel" else set()):
        raise _wrong(kind, f"may be followed by ?sentinel_password=… at most ({_ESCAPES})")
    return RedisPlaces(
        kind=kind,
        tls=scheme == "rediss",
        hosts=tuple(_host(kind, each.strip()) for each in places.split(",")),
        service=service,
        db=db,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=more.get("sentinel_username") or None,
        sentinel_password=more.get("sentinel_password") or None,
    )


def _service(path: str) -> tuple[str, int]:
    found = _SERVICE.fullmatch(path)
    if found is None:
        raise _wrong("sentinel", "lacks the service's name after the hosts, and perhaps a database's number after it")
    return found["service"], int(found["db"] or 0)


def _no_service(path: str) -> tuple[str, int]:
    if path not in ("", "/", "/0"):
        raise _wrong("cluster", "has something after the hosts: a cluster has no database but 0")
    return "", 0


def _host(kind: Kind, place: str) -> tuple[str, int]:
    found = _HOST.fullmatch(place)
    port = int(found["port"] or _PORTS[kind]) if found else 0
    if found is None or not 0 < port < 65536:
        raise _wrong(kind, "has a host that is none (HOST:PORT, several separated by commas)")
    return found["name"].strip("[]"), port


def _wrong(kind: Kind, what: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"BILLING_REDIS_URL {what}: write {_FORMS[kind]}")

"""What `billing doctor` says of a connection that everybody on its way can read."""

import ipaddress
from urllib.parse import urlsplit

from billing_cli.findings import Finding, ok, warn


def examine_transport(check: str, urls: str, variable: str, scheme: str) -> Finding:
    """Whether what goes to these servers is encrypted, or stays on this machine. `scheme` is that of TLS."""
    clear = [each for each in urls.split(",") if not _is_safe(each.strip(), scheme)]
    if not clear:
        return ok(check, f"{scheme}://, or on this machine")
    return warn(check, "passwords and events cross the network in the clear", f"Write {scheme}:// in {variable}.")


def reach_remedy(failure: object, *, what: str, place: str, variable: str) -> str:
    """What to do where the server cannot be reached: start it, or have its certificate trusted."""
    if "CERTIFICATE_VERIFY_FAILED" in str(failure):
        ca_file = variable.replace("_URL", "_CA_FILE")
        return (
            f"Set {ca_file} to the authority that signed its certificate, and write its host as the certificate does."
        )
    return f"Start {what} at {place}, or set {variable}."


def _is_safe(url: str, scheme: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme in (scheme, "wss", "unix"):
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a name
        return parts.hostname == "localhost"

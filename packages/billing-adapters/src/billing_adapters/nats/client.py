"""nats-py's client, with what it lacks: a request that was denied ends at once, and TLS that was asked for is had."""

from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from billing_adapters.nats.denials import Denials


class NatsClient(Client):
    """A client for one connection."""

    def __init__(self, denials: Denials, *, public_key: str | None = None, has_certificate: bool = False) -> None:
        """This will tell what is denied as `denials` hears it, and come as the user of the public key, if any;
        `has_certificate`: with a certificate of ours."""
        super().__init__()
        self._denials, self._has_certificate = denials, has_certificate
        if public_key is not None:
            # nats-py sets it only where NATS' library for keys is installed; see nkeys.py.
            self._public_nkey = public_key

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,  # noqa: ASYNC109 - nats-py's signature
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """This will ask and return the answer. Raises BrokerDenied where NATS does not permit to ask, and nats-py's
        errors."""
        async with self._denials.watching(subject):
            return await super().request(subject, payload, timeout, old_style, headers)

    def _connect_command(self) -> bytes:
        # The place where who we are is sent. nats-py goes on in the clear where the greeting, which anybody on the way
        # may change, speaks of no TLS.
        server = self._current_server
        if server is not None and server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise nats.errors.Error(
                "nats: tls:// was asked for and the server does not require TLS, so nothing was sent to it"
            )
        if self._server_info.get("tls_verify") and not self._has_certificate:
            # It hangs up in a moment, and says nothing.
            raise nats.errors.Error(
                "nats: the server asks for our certificate: set BILLING_NATS_CERT_FILE and BILLING_NATS_KEY_FILE"
            )
        return super()._connect_command()

"""Every payment platform at once, and the issuer of keys: plays well, or answers with whatever it was sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.adapters.platforms.shopify.shop import a_node
from tests.adapters.platforms.stripe.account import a_session

PLAYING_WELL = "well"
# How it answers otherwise: a status, and whether it says what is wrong in words for people.
MOODS = {
    "500": (500, False),
    "502 for people": (502, True),
    "400": (400, False),
    "errors in a 200": (200, False),
}


class Mirror:
    """What it was sent, and how it answers from now on."""

    def __init__(self, url: str) -> None:
        self.url, self.mood, self.shop_token = url, PLAYING_WELL, ""
        self.seen: list[str] = []

    def answer(self, path: str, sent: str) -> tuple[int, str]:
        """The status and the body."""
        if self.mood == PLAYING_WELL or path.startswith("/token"):
            return (404, sent) if path.startswith("/keys") else (200, json.dumps(self._good(path, sent)))
        status, for_people = MOODS[self.mood]
        if for_people:
            return status, f"<html><body><pre>{sent}</pre></body></html>"
        message = {"message": f"this is wrong: {sent}", "type": "invalid_request_error"}
        refused = {"appPurchaseOneTime": None, "confirmationUrl": None, "userErrors": [{"message": message["message"]}]}
        if "errors in" in self.mood and "appPurchaseOneTimeCreate" in sent:
            return status, json.dumps({"data": {"appPurchaseOneTimeCreate": refused}})
        return status, json.dumps({"error": message, "errors": [message], "data": None})

    def _good(self, path: str, sent: str) -> Any:
        if path.startswith("/token"):
            return {"access_token": self.shop_token, "expires_in": 3600}
        if path.startswith("/v1/"):
            return a_session(id="cs_test_canary", client_reference_id="CP-" + "A" * 20)
        if path.startswith("/admin/"):
            made = {"appPurchaseOneTime": {"id": a_node()["id"]}, "userErrors": []}
            made["confirmationUrl"] = "https://shop-1.myshopify.com/admin/charges/1/confirm"
            creating = "appPurchaseOneTimeCreate" in sent
            return {"data": {"appPurchaseOneTimeCreate": made} if creating else {"node": a_node()}}
        return {"data": {"transactions": {"edges": [], "pageInfo": {"hasNextPage": False}}}}


@contextmanager
def mirror() -> Iterator[Mirror]:
    """A mirror on loopback, gone at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = f"{self.requestline}\n{self.headers}\n{self.rfile.read(length).decode()}"
            held.seen.append(sent)
            status, body = held.answer(self.path, sent)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held = Mirror(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, name="mirror")
        thread.start()
        yield held
        server.shutdown()
        thread.join()

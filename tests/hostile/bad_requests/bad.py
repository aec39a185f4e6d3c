"""What a bad request is, and the good ones that each is made of."""

from dataclasses import dataclass

from tests.apps.http.door import RETURN_URL

from billing_http.operations import Operation

UNKNOWN_ID = "0199aaaa-0000-7000-8000-000000000000"
PURCHASES = "/api/billing/purchases"


@dataclass(frozen=True)
class Bad:
    """A bad request, the answers it may have (status and code), and the operation whose document says so."""

    name: str
    sent: bytes
    told: frozenset[tuple[int, str]]
    operation: Operation | None = None


def told(*answers: str) -> frozenset[tuple[int, str]]:
    """The answers, each written as `400 INVALID_REQUEST`."""
    pairs = (each.split(" ") for each in answers)
    return frozenset((int(status), code) for status, code in pairs)


INVALID = told("400 INVALID_REQUEST")


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


def target(operation: Operation) -> str:
    """A path of the operation."""
    return operation.path.replace("{id}", UNKNOWN_ID)


def good_body(operation: Operation) -> bytes | None:
    """A body the operation takes."""
    if operation.body is None:
        return None
    return b"{}" if not operation.body.model_fields else purchase()


def purchase(pack: str = '"large"', return_url: str | None = None, more: str = "") -> bytes:
    """The text of a purchase, its values as they are."""
    url = f'"{RETURN_URL}"' if return_url is None else return_url
    return f'{{"pack": {pack}, "return_url": {url}{more}}}'.encode()

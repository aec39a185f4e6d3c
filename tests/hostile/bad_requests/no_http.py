"""Bytes that are no HTTP, or contradict themselves."""

from collections.abc import Iterator

from tests.hostile.bad_requests.bad import INVALID, Bad, told
from tests.hostile.live import good_headers, request

from billing_http.operations import OPERATIONS

HOST = "Host: billing.test\r\n"
NO_HTTP: dict[str, str] = {
    "garbage": "garbage\r\n\r\n",
    "zeros": "\0" * 64 + "\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 64,
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": "SSH-2.0-OpenSSH_9.9\r\n",
    "HTTP/9.9": f"GET /health HTTP/9.9\r\n{HOST}\r\n",
    "HTTP/1": f"GET /health HTTP/1\r\n{HOST}\r\n",
    "another protocol": f"GET /health ICAP/1.0\r\n{HOST}\r\n",
    "method in lower case": f"get /health HTTP/1.1\r\n{HOST}\r\n",
    "unknown method": f"BREW /health HTTP/1.1\r\n{HOST}\r\n",
    "no method": f" /health HTTP/1.1\r\n{HOST}\r\n",
    "no target": f"GET  HTTP/1.1\r\n{HOST}\r\n",
    "target with a space": f"GET /he alth HTTP/1.1\r\n{HOST}\r\n",
    "target with NUL": f"GET /health\0 HTTP/1.1\r\n{HOST}\r\n",
    "target without a slash": f"GET health HTTP/1.1\r\n{HOST}\r\n",
    "target to a host": f"CONNECT billing.test:443 HTTP/1.1\r\n{HOST}\r\n",
    "field without a colon": f"GET /health HTTP/1.1\r\n{HOST}nonsense\r\n\r\n",
    "field without a name": f"GET /health HTTP/1.1\r\n{HOST}: x\r\n\r\n",
    "space before the colon": f"GET /health HTTP/1.1\r\n{HOST}Content-Length : 0\r\n\r\n",
    "space in a name": f"GET /health HTTP/1.1\r\n{HOST}X A: b\r\n\r\n",
    "NUL in a name": f"GET /health HTTP/1.1\r\n{HOST}X\0: b\r\n\r\n",
    "NUL in a value": f"GET /health HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n",
    "a bare carriage return": f"GET /health HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n",
    "a folded field": f"GET /health HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n",
    "a folded first field": f"GET /health HTTP/1.1\r\n {HOST}\r\n",
    "length and chunks": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "the same length twice": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "two lengths in one": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2, 2\r\n\r\n{{}}",
    "length below zero": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n",
    "length with a sign": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: +2\r\n\r\n{{}}",
    "length in hexadecimal": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 0x2\r\n\r\n{{}}",
    "length of text": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: two\r\n\r\n{{}}",
    "length of nothing": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: \r\n\r\n",
    "length beyond 64 bits": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: {2**64}\r\n\r\n",
    "length of other digits": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: \xb2\r\n\r\n",
    "chunks that are not last": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks by another name": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "packed without chunks": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
}  # fmt: skip
# The head is good and the body is not: what comes of it is told by whoever gets there first.
NO_BODY: dict[str, str] = {
    "chunk of no size": "\r\n{}\r\n0\r\n\r\n",
    "chunk of text": "xyz\r\n{}\r\n0\r\n\r\n",
    "chunk below zero": "-2\r\n{}\r\n0\r\n\r\n",
    "chunk with a sign": "+2\r\n{}\r\n0\r\n\r\n",
    "chunk with 0x": "0x2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than said": "1\r\n{}\r\n0\r\n\r\n",
    "chunk beyond 64 bits": "1" + "0" * 16 + "\r\n{}\r\n0\r\n\r\n",
    "chunk without line end": "2{}\r\n0\r\n\r\n",
}


def no_http() -> Iterator[Bad]:
    """Bytes that are no HTTP, lengths that contradict each other, chunks that are none."""
    for what, text in NO_HTTP.items():
        yield Bad(what, text.encode("latin-1"), INVALID)
    for operation in (each for each in OPERATIONS if each.body):
        for what, text in NO_BODY.items():
            sent = (
                request("POST", operation.path, good_headers(more=[("Transfer-Encoding", "chunked")])) + text.encode()
            )
            yield Bad(f"POST {operation.path}, {what}", sent, INVALID, operation)
    yield Bad(
        "600 KiB of one field",
        f"GET /health HTTP/1.1\r\n{HOST}X: {'x' * 600_000}".encode(),
        told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"),
    )
    yield Bad(
        "600 KiB of fields",
        b"GET /health HTTP/1.1\r\n" + b"X: x\r\n" * 100_000,
        told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"),
    )
    yield Bad("600 KiB of a target", f"GET /{'x' * 600_000}".encode(), told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"))

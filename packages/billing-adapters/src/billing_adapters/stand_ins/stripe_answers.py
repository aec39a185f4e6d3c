"""What Stripe answers: a status and a body; and its refusals, in the shape of its errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `final` tells whether a key of idempotency remembers it."""

    status: int = 200
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    final: bool = True

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Answer":
        """The answer of a call that went well."""
        return cls(body=json.dumps(content, indent=2))


class Refusal(Exception):
    """A call Stripe refuses. `began` tells whether it was refused by what it asked to be done, or before anything was
    tried; only the former is remembered under a key."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        began: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.param = status, kind, code, param
        self.headers, self.began = headers or {}, began

    def answer(self) -> Answer:
        """This will give the refusal as Stripe words it; code and param are there only where they say something."""
        error = {"code": self.code, "message": str(self), "param": self.param, "type": self.kind}
        told = {name: value for name, value in error.items() if value is not None}
        body = json.dumps({"error": told}, indent=2)
        return Answer(status=self.status, body=body, headers=self.headers, final=self.began)


def missing(noun: str, object_id: str, *, param: str | None = None) -> Refusal:
    """The refusal of an id that is no such object's; 404 where the object was asked for, 400 where `param` named it."""
    message = f"No such {noun}: '{object_id}'"
    status = 400 if param else 404
    return Refusal(message, status=status, code="resource_missing", param=param or "id", began=True)

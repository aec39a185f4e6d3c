"""The users Billing's processes come to NATS as, and what each of them may do there: this and nothing else.

`deploy/nats/accounts.conf` gives a server the same (a test holds them equal), and `billing doctor` compares it with
what the server permits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from billing_adapters.nats.plan import (
    ADVISORIES,
    BILLING,
    CONSUMERS,
    MERCHANT,
    SUBJECTS,
    WEBHOOK,
    ConsumerPlan,
    covers,
)

ACCOUNTS_FILE: Final = "deploy/nats/accounts.conf"
USER_INFO: Final = "$SYS.REQ.USER.INFO"

Operation = Literal["publish", "subscribe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One line of a user's permissions, and what it is for."""

    operation: Operation
    subject: str
    why: str

    def __str__(self) -> str:
        return f"{self.operation} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsUser:
    """A user of NATS: `inbox` is the prefix of the subjects it gets answers on, which no other user may read."""

    name: str
    inbox: str
    publishes: Mapping[str, str]  # subject → what for

    @property
    def permissions(self) -> Sequence[Permission]:
        """Everything it needs."""
        ours = Permission(operation="subscribe", subject=f"{self.inbox}.>", why="answers")
        return [
            *(Permission(operation="publish", subject=subject, why=why) for subject, why in self.publishes.items()),
            ours,
        ]

    def permission(self, operation: str, subject: str) -> Permission | None:
        """The line that permits this; None where it needs none. Letters' case is not looked at: nats-py tells denials
        in small ones."""
        return next(
            (
                each
                for each in self.permissions
                if each.operation == operation and covers(each.subject.lower(), subject.lower())
            ),
            None,
        )

    def missing(self, granted: Mapping[str, Any] | None) -> Sequence[Permission]:
        """What it needs and does not have. `granted` is as `$SYS.REQ.USER.INFO` tells it; None: everything."""
        return [each for each in self.permissions if not _permits((granted or {}).get(each.operation), each.subject)]


def _permits(rules: Mapping[str, Any] | None, subject: str) -> bool:
    allowed: Iterable[str] | None = (rules or {}).get("allow")
    denied: Iterable[str] = (rules or {}).get("deny") or ()
    if any(covers(each, subject) or covers(subject, each) for each in denied):
        return False
    return not allowed or any(covers(each, subject) for each in allowed)


def _stream_info(*names: str) -> Mapping[str, str]:
    return {f"$JS.API.STREAM.INFO.{name}": f"how the stream {name} is" for name in names}


def _consumer_info() -> Mapping[str, str]:
    return {f"$JS.API.CONSUMER.INFO.{each.stream}.{each.durable}": f"how {each.durable} is" for each in CONSUMERS}


def _consumer_create() -> Mapping[str, str]:
    return {
        f"$JS.API.CONSUMER.CREATE.{each.stream}.{each.durable}.{each.subject}": f"make {each.durable}"
        for each in CONSUMERS
    }


def _consuming(plan: ConsumerPlan) -> Mapping[str, str]:
    name = f"{plan.stream}.{plan.durable}"
    return {
        f"$JS.API.CONSUMER.MSG.NEXT.{name}": f"take messages from {plan.durable}",
        f"$JS.ACK.{name}.>": "acknowledge them",
        # Servers from 2.15 on may be told to name domain and account as well (feature flag js_ack_fc_v2).
        f"$JS.ACK.*.*.{name}.>": "acknowledge them, in the newer form",
    }


_MYSELF: Final = {USER_INFO: "what it may do"}
_PUBLISHED: Final = SUBJECTS[BILLING]
_PURCHASE_UPDATED: Final = next(each.subject for each in CONSUMERS if each.stream == WEBHOOK)

HTTP: Final = NatsUser(name="billing-http", inbox="_INBOX_billing_http", publishes=_MYSELF)
DOOR: Final = NatsUser(
    name="billing-http-door",
    inbox="_INBOX_billing_http",
    publishes={_PURCHASE_UPDATED: "pass webhooks on (the webhook door, the sandbox)", **_MYSELF},
)
WORKER: Final = NatsUser(
    name="billing-worker",
    inbox="_INBOX_billing_worker",
    publishes={
        _PUBLISHED: "publish our events",
        **_stream_info(BILLING, ADVISORIES),
        **_consumer_info(),
        **_consumer_create(),
        **{subject: why for plan in CONSUMERS for subject, why in _consuming(plan).items()},
        **_MYSELF,
    },
)
CLI: Final = NatsUser(
    name="billing-cli",
    inbox="_INBOX_billing_cli",
    publishes={
        _PUBLISHED: "relay events and publish them again",
        **{each.subject: "replay parked messages" for each in CONSUMERS},
        **_stream_info(BILLING, MERCHANT, WEBHOOK, ADVISORIES),
        **_consumer_info(),
        f"$JS.API.STREAM.MSG.GET.{BILLING}": "events tail",
        f"$JS.API.STREAM.MSG.GET.{ADVISORIES}": "what was given up",
        **_MYSELF,
    },
)
ADMIN: Final = NatsUser(
    name="billing-admin",
    inbox="_INBOX_billing_admin",
    publishes={
        **_stream_info(BILLING, MERCHANT, WEBHOOK, ADVISORIES),
        **{f"$JS.API.STREAM.{act}.{BILLING}": f"{act.lower()} our stream" for act in ("CREATE", "UPDATE")},
        f"$JS.API.STREAM.CREATE.{ADVISORIES}": "keep what NATS gives up",
        f"$JS.API.STREAM.UPDATE.{ADVISORIES}": "keep it on more servers",
        f"$JS.API.STREAM.PURGE.{ADVISORIES}": "forget it, once it is seen to",
        **_consumer_info(),
        **_consumer_create(),
        **{
            f"$JS.API.CONSUMER.DELETE.{each.stream}.{each.durable}": "read a stream anew (restore)"
            for each in CONSUMERS
        },
        **_MYSELF,
    },
)
USERS: Final[Mapping[str, NatsUser]] = {"http": HTTP, "door": DOOR, "worker": WORKER, "cli": CLI, "admin": ADMIN}


def remedy(user: NatsUser | None, operation: str, subject: str) -> str:
    """What to do where `user` was not permitted this. `subject` may be in small letters."""
    if user is not None and (line := user.permission(operation, subject)) is not None:
        return f'Add "{line.subject}" ({line.why}) to {operation}.allow of the user {user.name} in {ACCOUNTS_FILE}.'
    if user is not None and operation == "subscribe":
        return f"{user.name} hears answers below {user.inbox}: take BILLING_NATS_INBOX_PREFIX away."
    if ADMIN.permission(operation, subject) is not None:
        return f"That is for the user {ADMIN.name} of {ACCOUNTS_FILE}: run `billing nats upgrade` with its key."
    others = [each.name for each in USERS.values() if each.permission(operation, subject) is not None]
    if others:
        return f"That is for the user {others[0]} of {ACCOUNTS_FILE}: use its key, or add the line."
    return f'Allow its user to {operation} "{subject}", or use a key that may.'

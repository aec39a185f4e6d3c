"""`python -m benchmarks.baselines.http`: the HTTP workloads on FastAPI and SQLAlchemy's ORM.

It reads the same environment as `billing_http`.
"""

import base64
import hashlib
import hmac
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import redis.asyncio
import uuid_utils.compat
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.baselines.documents import (
    EventOut,
    MerchantOut,
    NewPurchase,
    OverviewOut,
    PackOut,
    PageOut,
    PriceOut,
    PurchaseCreated,
    PurchaseOut,
    SandboxOffer,
    SummaryOut,
    TrialOut,
    totals,
)
from benchmarks.baselines.models import (
    ArchivedPurchase,
    HistoryEntry,
    IdempotencyKey,
    Merchant,
    OutboxEvent,
    PaymentClaim,
    Purchase,
    Trial,
    TrialClaim,
)

ROUTE = "POST /api/billing/purchases"
EVENT_ID_NAMESPACE = uuid.UUID("6f0cf8a1-9a52-5d5e-9b8a-52b0bb0f3b0e")
CREATED = "evt.billing.purchase.created"
CATALOG = {"small": (100, 999), "medium": (500, 3999), "large": (1000, 6999)}
CATALOG_VERSION = "default-1"
MAX_OPEN = 5
REMEMBERED_FOR = timedelta(hours=24)

SECRET = os.environ["BILLING_JWT_SECRET"]
KEY = OctKey.import_key(SECRET)
OFFER_KEY = OctKey.import_key(hmac.digest(SECRET.encode(), b"billing sandbox offer, version 1", "sha256"))
CLAIMS = jwt.JWTClaimsRegistry(
    leeway=30,
    iss={"essential": True, "value": os.environ["BILLING_JWT_ISSUER"]},
    aud={"essential": True, "value": os.environ["BILLING_JWT_AUDIENCE"]},
    exp={"essential": True},
    iat={"essential": True},
)
RETURN_HOSTS = os.environ["BILLING_RETURN_URL_HOSTS"].split(",")
BASE_URL = f"http://127.0.0.1:{os.environ['BILLING_PORT']}"

engine = create_async_engine(
    os.environ["BILLING_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=int(os.environ["BILLING_DATABASE_POOL_SIZE"]),
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
cache = redis.asyncio.from_url(os.environ["BILLING_REDIS_URL"])
bearer = HTTPBearer()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Closes what is open when the process ends."""
    yield
    await cache.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


class Caller(BaseModel):
    """Who asks."""

    merchant_id: str
    platform: str
    subject: str
    scopes: list[str]
    correlation_id: str


def caller_of(
    request: Request,
    token: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    x_platform: Annotated[str, Header()],
    x_correlation_id: Annotated[str | None, Header()] = None,
) -> Caller:
    """The caller the token speaks for."""
    try:
        claims = jwt.decode(token.credentials, KEY, algorithms=["HS256"]).claims
        CLAIMS.validate(claims)
    except (JoseError, ValueError) as wrong:
        raise HTTPException(401, "the token is not accepted") from wrong
    if claims["platform"] != x_platform:
        raise HTTPException(403, "the token is for another platform")
    needed = "billing:write" if request.method == "POST" else "billing:read"
    if needed not in claims["scope"].split():
        raise HTTPException(403, f"the token lacks the scope {needed}")
    return Caller(
        merchant_id=claims["merchant_id"],
        platform=claims["platform"],
        subject=claims["sub"],
        scopes=claims["scope"].split(),
        correlation_id=x_correlation_id or str(uuid_utils.compat.uuid7()),
    )


async def open_session() -> AsyncIterator[AsyncSession]:
    """A session for one request."""
    async with sessions() as session:
        yield session


CallerOf = Annotated[Caller, Depends(caller_of)]
Session = Annotated[AsyncSession, Depends(open_session)]


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    """Whether the service answers."""
    return {}


# --- (a) and (b) ------------------------------------------------------------------------------------------------------


@dataclass
class Remembered:
    """An answer that was given before."""

    fingerprint: str
    outcome: str
    document: str


@app.post("/api/billing/purchases", status_code=201)
async def create_purchase(
    body: NewPurchase, caller: CallerOf, session: Session, idempotency_key: Annotated[str, Header(max_length=255)]
) -> Response:
    """Buy a credit pack."""
    if body.return_url.host not in RETURN_HOSTS:
        raise HTTPException(422, "that host is not one to return to")
    if body.pack not in CATALOG:
        raise HTTPException(422, "there is no such pack")
    asked = {"route": ROUTE, **body.model_dump(mode="json")}
    fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    if remembered := await recall(caller, idempotency_key):
        return replayed(remembered, fingerprint)

    merchant = await known_merchant(session, caller, hold=True)
    now = datetime.now(UTC)
    record = await session.get(IdempotencyKey, (caller.merchant_id, ROUTE, idempotency_key))
    if record is not None:
        return replayed_record(record, fingerprint)
    purchase = await open_purchase(session, merchant, body, caller, now)
    record = IdempotencyKey(
        merchant_id=caller.merchant_id,
        route=ROUTE,
        key=idempotency_key,
        fingerprint=fingerprint,
        created_at=now,
        purchase_id=purchase.purchase_id,
        locked_until=now + timedelta(seconds=20),
    )
    session.add(record)
    await session.commit()

    reference, url = make_checkout(purchase)

    await session.refresh(purchase, with_for_update=True)
    session.add(claim(purchase, reference))
    purchase.platform_reference, purchase.checkout_url, purchase.status = reference, url, "pending"
    purchase.version += 1
    session.add(entry(purchase, "pending", "created", caller, datetime.now(UTC)))
    document = PurchaseOut.of(purchase).model_dump_json()
    record.locked_until, record.outcome, record.document = None, "created", document.encode()
    await session.commit()

    await remember(caller, idempotency_key, Remembered(fingerprint, "created", document))
    return answer(document, 201)


async def open_purchase(
    session: AsyncSession, merchant: Merchant, body: NewPurchase, caller: Caller, now: datetime
) -> Purchase:
    """A new purchase with its history and its event, not committed yet."""
    credits_, amount_minor = CATALOG[body.pack]
    found = await session.scalars(
        select(Purchase).where(
            Purchase.merchant_id == merchant.merchant_id,
            Purchase.status.in_(["created", "pending"]),
            Purchase.expires_at > now,
        )
    )
    already_open = found.all()
    if any(each.pack == body.pack and each.amount_minor == amount_minor for each in already_open):
        raise HTTPException(409, "this pack is open already")
    if len(already_open) >= MAX_OPEN:
        raise HTTPException(409, "too many purchases are open")
    purchase = Purchase(
        merchant_id=merchant.merchant_id,
        purchase_id=uuid_utils.compat.uuid7(),
        platform=merchant.platform,
        platform_account_id=merchant.platform_account_id,
        pack=body.pack,
        catalog_version=CATALOG_VERSION,
        credits=credits_,
        bonus_credits=0,
        amount_minor=amount_minor,
        currency="USD",
        return_url=str(body.return_url),
        status="created",
        created_at=now,
        expires_at=now + timedelta(hours=24),
        test=True,
        check_at=now + timedelta(minutes=1),
        version=1,
    )
    session.add(purchase)
    session.add(claim(purchase, f"CP-{purchase.purchase_id.hex[12:].upper()}"))
    session.add(entry(purchase, "created", None, caller, now))
    merchant.event_sequence += 1
    session.add(event_of(purchase, merchant.event_sequence, caller, now))
    await session.execute(text("select pg_notify('billing_outbox', '')"))
    return purchase


def claim(purchase: Purchase, reference: str) -> PaymentClaim:
    """The claim of a reference for its purchase."""
    return PaymentClaim(
        platform=purchase.platform,
        platform_reference=reference,
        merchant_id=purchase.merchant_id,
        purchase_id=purchase.purchase_id,
    )


def entry(purchase: Purchase, what: str, before: str | None, caller: Caller, now: datetime) -> HistoryEntry:
    """An entry of the purchase's history."""
    return HistoryEntry(
        merchant_id=purchase.merchant_id,
        subject_id=purchase.purchase_id,
        number=purchase.version,
        subject="purchase",
        what=what,
        status_before=before,
        status_after=purchase.status,
        at=now,
        actor=caller.subject,
        correlation_id=caller.correlation_id,
    )


def event_of(purchase: Purchase, sequence: int, caller: Caller, now: datetime) -> OutboxEvent:
    """The event that announces the purchase."""
    event_id = uuid.uuid5(EVENT_ID_NAMESPACE, f"{CREATED}|{purchase.purchase_id}")
    trace = hashlib.sha256(caller.correlation_id.encode()).hexdigest()
    event = EventOut(
        id=event_id,
        type=CREATED,
        subject=purchase.merchant_id,
        time=now,
        correlationid=caller.correlation_id,
        traceparent=f"00-{trace[:32]}-{trace[32:48]}-00",
        sequence=sequence,
        data=PurchaseCreated(
            merchant_id=purchase.merchant_id,
            platform=purchase.platform,
            purchase_id=purchase.purchase_id,
            pack=purchase.pack,
            credits=purchase.credits,
            bonus_credits=purchase.bonus_credits,
            price=PriceOut.of(purchase.amount_minor, purchase.currency),
            expires_at=purchase.expires_at,
        ),
    )
    return OutboxEvent(
        merchant_id=purchase.merchant_id,
        sequence=sequence,
        event_id=event_id,
        type=CREATED,
        body=event.model_dump_json().encode(),
    )


def make_checkout(purchase: Purchase) -> tuple[str, str]:
    """The sandbox's checkout: what is offered, signed, in its address."""
    key = purchase.purchase_id.hex
    mark = hashlib.sha256(f"{key}|{purchase.platform_account_id}".encode()).hexdigest()[:16]
    reference = f"sbx_{key}{mark}"
    offer = SandboxOffer(
        reference=reference,
        merchant_id=purchase.merchant_id,
        platform_account_id=purchase.platform_account_id,
        pack=purchase.pack,
        credits=purchase.credits,
        bonus_credits=purchase.bonus_credits,
        amount_minor=purchase.amount_minor,
        currency=purchase.currency,
        return_url=purchase.return_url,
        expires_at=purchase.expires_at,
    )
    header = {"alg": "HS256", "typ": "billing-sandbox-offer"}
    token = jws.serialize_compact(header, offer.model_dump_json(), OFFER_KEY, algorithms=["HS256"])
    return reference, f"{BASE_URL}/sandbox/checkout/{reference}?offer={token}"


async def recall(caller: Caller, key: str) -> Remembered | None:
    """What Redis remembers of the key."""
    found = await cache.get(replay_name(caller, key))
    return None if found is None else Remembered(**json.loads(found))


async def remember(caller: Caller, key: str, remembered: Remembered) -> None:
    """This will have Redis remember the answer for a day."""
    await cache.set(replay_name(caller, key), json.dumps(vars(remembered)), ex=REMEMBERED_FOR)


def replay_name(caller: Caller, key: str) -> str:
    """Where Redis keeps it."""
    return "billing:replay:" + hashlib.sha256(json.dumps([caller.merchant_id, ROUTE, key]).encode()).hexdigest()


def replayed_record(record: IdempotencyKey, fingerprint: str) -> Response:
    """The first answer again, from the database."""
    if record.outcome is None or record.document is None:
        raise HTTPException(409, "the first request is still being answered")
    return replayed(Remembered(record.fingerprint, record.outcome, record.document.decode()), fingerprint)


def replayed(remembered: Remembered, fingerprint: str) -> Response:
    """The first answer again."""
    if remembered.fingerprint != fingerprint:
        raise HTTPException(422, "the key was used for another request")
    response = answer(remembered.document, 201 if remembered.outcome == "created" else 200)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def answer(document: str, status: int) -> Response:
    """A purchase's document, and where it is."""
    location = f"/api/billing/purchases/{json.loads(document)['id']}"
    return Response(document, status, {"Location": location}, media_type="application/json")


# --- (c) and (d) ------------------------------------------------------------------------------------------------------


@app.get("/api/billing")
async def overview(caller: CallerOf, session: Session) -> OverviewOut:
    """Everything about the merchant's billing."""
    merchant = await known_merchant(session, caller)
    figures: list[Any] = []
    newest: list[Any] = []
    for table in (Purchase, ArchivedPurchase):
        grouped = await session.execute(
            select(
                table.status,
                func.count().label("many"),
                func.sum(table.credits + table.bonus_credits)
                .filter(table.completed_at.is_not(None))
                .label("purchased"),
                func.sum(table.credits_reversed).label("reversed"),
            )
            .where(table.merchant_id == merchant.merchant_id)
            .group_by(table.status)
        )
        figures += grouped.all()
        latest = await session.scalars(
            select(table).where(table.merchant_id == merchant.merchant_id).order_by(table.purchase_id.desc()).limit(1)
        )
        newest += latest.all()
    counts, purchased, reversed_ = totals(figures)
    last = max(newest, key=lambda each: each.purchase_id, default=None)
    return OverviewOut(
        merchant=MerchantOut(
            id=merchant.merchant_id,
            platform=merchant.platform,
            platform_account_id=merchant.platform_account_id,
            currency=merchant.currency,
            registered_at=merchant.registered_at,
        ),
        trial=await trial_of(session, merchant),
        purchases=SummaryOut(
            counts=counts,
            credits_purchased=purchased,
            credits_reversed=reversed_,
            last=PurchaseOut.of(last) if last else None,
        ),
        packs=[
            PackOut(
                pack=pack,
                credits=credits_,
                bonus_credits=0,
                price=PriceOut.of(amount_minor, "USD"),
                catalog_version=CATALOG_VERSION,
            )
            for pack, (credits_, amount_minor) in CATALOG.items()
        ],
    )


async def trial_of(session: AsyncSession, merchant: Merchant) -> TrialOut:
    """The merchant's newest trial."""
    trial = await session.scalar(
        select(Trial)
        .where(Trial.merchant_id == merchant.merchant_id)
        .order_by(Trial.started_at.desc(), Trial.trial_id.desc())
        .limit(1)
    )
    if trial is not None:
        return TrialOut.of(trial)
    claimed = await session.get(TrialClaim, (merchant.platform, merchant.platform_account_id))
    return TrialOut.before_the_first(merchant, claimed=claimed is not None)


@app.get("/api/billing/purchases")
async def list_purchases(caller: CallerOf, session: Session, limit: int = 20, cursor: str | None = None) -> PageOut:
    """The merchant's purchases, newest first."""
    if not 1 <= limit <= 100:
        raise HTTPException(422, "limit is from 1 to 100")
    await known_merchant(session, caller)
    wanted = select(Purchase).where(Purchase.merchant_id == caller.merchant_id)
    if cursor is not None:
        wanted = wanted.where(Purchase.purchase_id < uuid.UUID(bytes=base64.urlsafe_b64decode(cursor + "==")))
    found = (await session.scalars(wanted.order_by(Purchase.purchase_id.desc()).limit(limit + 1))).all()
    more = len(found) > limit
    next_cursor = base64.urlsafe_b64encode(found[limit - 1].purchase_id.bytes).decode().rstrip("=") if more else None
    return PageOut(data=[PurchaseOut.of(each) for each in found[:limit]], next_cursor=next_cursor)


async def known_merchant(session: AsyncSession, caller: Caller, *, hold: bool = False) -> Merchant:
    """The caller's merchant."""
    merchant = await session.get(Merchant, caller.merchant_id, with_for_update=hold or None)
    if merchant is None:
        raise HTTPException(404, "the merchant is not known")
    if merchant.platform != caller.platform:
        raise HTTPException(403, "the merchant is on another platform")
    return merchant


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BILLING_PORT"]))

"""The vocabulary of the tables: columns and checks that come more than once."""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, DateTime, Text
from sqlalchemy.schema import SchemaItem


def text_column(name: str, *, nullable: bool = False) -> Column[str]:
    """A column of text; how long it may be is a check of its own."""
    return Column(name, Text, nullable=nullable)


def moment(name: str, *, nullable: bool = False) -> "Column[object]":
    """A column with a moment in time, to the microsecond."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def length(name: str, longest: int, shortest: int = 1) -> CheckConstraint:
    """The check that a text has from `shortest` to `longest` characters."""
    return CheckConstraint(f"char_length({name}) between {shortest} and {longest}", name=f"{name}_length")


def one_of(name: str, values: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """The check that a text is one of the values."""
    return CheckConstraint(f"{name} in ({quoted(values)})", name=f"{name}_known")


def quoted(values: Iterable[str]) -> str:
    """The values as a list of SQL literals, in an order that does not change."""
    return ", ".join(f"'{value!s}'" for value in sorted(values))


def currency(*, nullable: bool = False) -> tuple[SchemaItem, ...]:
    """An ISO 4217 code, with its check."""
    return text_column("currency", nullable=nullable), CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_iso")


def merchant_id() -> tuple[SchemaItem, ...]:
    """Whose row it is, with its check."""
    return text_column("merchant_id"), length("merchant_id", 128)


def platform_account() -> tuple[SchemaItem, ...]:
    """A platform and the account there, with their checks."""
    return (
        text_column("platform"),
        text_column("platform_account_id"),
        length("platform", 64),
        length("platform_account_id", 255),
    )

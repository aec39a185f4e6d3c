"""The second wall between merchants: row-level security, forced, told by a setting whose rows a transaction may see.

Every statement names its merchant anyway; a row of another merchant is refused by PostgreSQL itself where one forgot.
The setting is the transaction's own: a connection that is lent to the next caller has none. A transaction begins with
it. A single statement, which has no `begin`, carries its merchant as an argument of the domain `billing_caller`, whose
check makes the setting: PostgreSQL reads the arguments before it looks at any row, so this costs no round trip (see
decision 24). Whoever works for everybody, workers and operators, sets EVERY_MERCHANT once for each connection.
"""

from typing import Any, Final

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.types import UserDefinedType

from billing_core.domain.merchants import MERCHANT_ID

SETTING: Final = "billing.merchant_id"
EVERY_MERCHANT: Final = "*"  # no merchant's id: the shape of those has no such character
NO_MERCHANT: Final = ""
CALLER_DOMAIN: Final = "billing_caller"


class Caller(UserDefinedType[str]):
    """The type of the argument that says whose rows a statement may see."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: Any) -> str:
        """The domain's name in SQL."""
        return CALLER_DOMAIN


def caller() -> BindParameter[str]:
    """The argument `merchant_id`: it says whose rows are wanted, and that no others may be seen."""
    return bindparam("merchant_id", type_=Caller())


def narrowing(merchant_id: str) -> str:
    """The command that lets the transaction it stands in see one merchant's rows alone. Raises ValueError for what is
    no merchant id, and so might be something else in SQL."""
    if not MERCHANT_ID.fullmatch(merchant_id):
        raise ValueError("not the shape of a merchant id")
    return f"set local {SETTING} = '{merchant_id}'"

"""How long a process waits for the database before it says that it is away."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time limits in seconds: for a connection, a transaction's first word, a question, any other statement,
    a lock, and a whole transaction."""

    connect_s: float
    acquire_s: float
    begin_s: float
    read_s: float
    statement_s: float
    lock_s: float
    transaction_s: float

    @property
    def server_settings(self) -> dict[str, str]:
        """The same limits as the server enforces them, so that nothing goes on after we gave it up."""
        return {
            "statement_timeout": f"{self.statement_s:g}s",
            "lock_timeout": f"{self.lock_s:g}s",
            "transaction_timeout": f"{self.transaction_s:g}s",
        }


# Somebody waits for the answer: within two seconds they hear that the database is away (contract §2).
PROMPT: Final = Patience(connect_s=2, acquire_s=0.9, begin_s=0.9, read_s=1.5, statement_s=5, lock_s=2, transaction_s=10)
# Nobody waits but a message, a job or an operator: a slow moment of the machine is no outage to them.
PATIENT: Final = Patience(
    connect_s=10, acquire_s=10, begin_s=10, read_s=30, statement_s=60, lock_s=30, transaction_s=120
)

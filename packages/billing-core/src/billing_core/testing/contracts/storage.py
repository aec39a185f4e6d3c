"""The whole storage contract: one suite for each part, over one `storage` fixture (empty at the start of a test)."""

from billing_core.testing.contracts.grants import GrantsContract
from billing_core.testing.contracts.housekeeping import HousekeepingContract
from billing_core.testing.contracts.journal import JournalContract
from billing_core.testing.contracts.merchants import MerchantsContract
from billing_core.testing.contracts.messages import InboxContract, KeyRecordsContract
from billing_core.testing.contracts.outbox import JobRunsContract, LeadershipContract, OutboxContract
from billing_core.testing.contracts.parked_messages import ParkedMessagesContract
from billing_core.testing.contracts.payment_claims import ArchiveContract, PaymentClaimsContract
from billing_core.testing.contracts.privacy import MerchantDataContract
from billing_core.testing.contracts.purchase_requests import PurchaseRequestsContract
from billing_core.testing.contracts.purchases import PurchasesContract
from billing_core.testing.contracts.records import BillingRecordsContract
from billing_core.testing.contracts.redactions import RedactionsContract
from billing_core.testing.contracts.reports import BillingReportsContract
from billing_core.testing.contracts.tenancy import TenancyContract
from billing_core.testing.contracts.transactions import TransactionsContract
from billing_core.testing.contracts.trials import TrialsContract


class StorageContract(
    TransactionsContract,
    TenancyContract,
    MerchantsContract,
    TrialsContract,
    PurchasesContract,
    PurchaseRequestsContract,
    PaymentClaimsContract,
    ArchiveContract,
    GrantsContract,
    JournalContract,
    InboxContract,
    KeyRecordsContract,
    ParkedMessagesContract,
    OutboxContract,
    HousekeepingContract,
    LeadershipContract,
    JobRunsContract,
    BillingRecordsContract,
    BillingReportsContract,
    MerchantDataContract,
    RedactionsContract,
):
    """Every promise of `ports.storage`, `ports.reports` and `ports.privacy`. Give the fixture `storage` (see
    `BillingStorage`)."""

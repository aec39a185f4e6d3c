"""What the command line itself refuses."""

from collections.abc import Sequence
from uuid import UUID

from billing_core.errors import BillingError


class DataFolderInUse(BillingError):
    """Another `billing up` runs on the same data folder."""

    code = "DATA_FOLDER_IN_USE"


class PortInUse(BillingError):
    """The port cannot be listened on."""

    code = "PORT_IN_USE"


class ServiceFailed(BillingError):
    """A part of the local service did not start or did not do what it should."""

    code = "SERVICE_FAILED"


class NotForProduction(BillingError):
    """The command is for development only."""

    code = "NOT_FOR_PRODUCTION"


class NoSigningSecret(BillingError):
    """Tokens are verified with a public key here, so none can be signed."""

    code = "NO_SIGNING_SECRET"


class UnknownJob(BillingError):
    """There is no such job."""

    code = "UNKNOWN_JOB"


class NoDryRun(BillingError):
    """The job cannot be rehearsed."""

    code = "NO_DRY_RUN"


class UnknownPurchases(BillingError):
    """Some of the purchases named do not exist."""

    code = "PURCHASE_NOT_FOUND"

    def __init__(self, purchase_ids: Sequence[UUID]) -> None:
        named = ", ".join(str(each) for each in purchase_ids)
        super().__init__(f"There is no purchase {named}; see `billing purchases list`.")


class ExtraMissing(BillingError):
    """A library that this needs, and that not everybody installs, is not there."""

    code = "EXTRA_MISSING"

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}, which is not installed: pip install 'billing-cli[{extra}]'")


class CannotWrite(BillingError):
    """The file asked for cannot be written."""

    code = "CANNOT_WRITE"

    def __init__(self, fault: OSError) -> None:
        super().__init__(f"{fault.filename}: {fault.strerror}")


class NothingToPublish(BillingError):
    """No event asked for can be published again."""

    code = "NOTHING_TO_PUBLISH"

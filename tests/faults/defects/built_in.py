"""A plug-in of pytest's, for tests of a Billing that is built wrong in the way `CHAOS_DEFECT` names."""

from tests.faults.defects.processes import break_as_told


def pytest_configure() -> None:
    """This will build this process wrong. Processes that tests start are broken where they are started through
    `tests.faults.defects.processes`."""
    break_as_told()

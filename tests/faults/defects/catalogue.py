"""Every seeded defect, once: how it is built into the simulator's world, into real processes, or into both; and the
walls taken down, with the test that stands behind each.

To add one, write a function that patches what it breaks, with a docstring that says what is wrong, and list it here.
"""

from collections import Counter
from collections.abc import Mapping

from tests.faults.defects import asking, delivery, leaving, publishing, requests, servers, settling, walls
from tests.faults.defects.defect import Defect


def listed(*defects: Defect) -> Mapping[str, Defect]:
    """The defects by name. Raises ValueError where two have the same."""
    names = Counter(each.name for each in defects)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return {each.name: each for each in defects}


_HOSTILE_TOKENS = "tests/apps/http/test_tokens.py::test_a_hostile_token_is_refused"
_OTHER_PLATFORM = "tests/apps/http/test_tokens.py::TestAnswers::test_a_token_of_another_platform_is_refused"
_BAD_REQUESTS = "tests/apps/http/test_bad_requests.py"
_ROUTES = "tests/tenancy/test_routes.py"
_ROWS = "tests/tenancy/test_row_security.py"
# Of walled tables PostgreSQL tells no values by itself: row-level security may hide them.
_REFUSED_ROWS = "tests/adapters/postgres/test_constraints.py::TestRefusals::test_what_was_refused_is_not_repeated"
_CANARIES = "tests/e2e/canary/test_canary.py::test_no_secret_is_told"

DEFECTS = listed(
    Defect(simulated=delivery.ack_before_commit, real=delivery.ack_before_commit),
    Defect(simulated=delivery.ack_of_what_is_put_off),
    Defect(simulated=delivery.unknown_reference_dropped),
    Defect(simulated=delivery.parked_not_kept),
    Defect(simulated=delivery.poison_for_ever),
    Defect(simulated=delivery.no_inbox, real=servers.no_inbox),
    Defect(simulated=publishing.mark_before_publishing, real=publishing.mark_before_publishing),
    Defect(simulated=publishing.unconfirmed_marked),
    Defect(simulated=publishing.mark_everything),
    Defect(simulated=publishing.two_relays),
    Defect(simulated=publishing.cursor_relay, real=servers.cursor_relay),
    Defect(simulated=publishing.no_message_id, real=servers.no_message_id),
    Defect(simulated=publishing.publish_in_transaction, real=servers.publish_in_transaction),
    Defect(simulated=publishing.facts_in_another_transaction),
    Defect(simulated=publishing.numbers_not_undone),
    Defect(simulated=requests.redis_as_only_guard),
    Defect(simulated=requests.answered_before_commit),
    Defect(simulated=requests.fingerprint_ignored),
    Defect(simulated=requests.last_checkout_wins),
    Defect(simulated=requests.read_then_write_trial),
    Defect(simulated=requests.trial_per_merchant),
    Defect(simulated=requests.trial_claimed_apart),
    Defect(simulated=settling.late_payment_ignored),
    Defect(simulated=settling.amount_not_compared),
    Defect(simulated=settling.paid_again),
    Defect(simulated=settling.no_row_locks),
    Defect(simulated=settling.refund_as_delta),
    Defect(simulated=settling.refund_rounded_down),
    Defect(simulated=settling.won_dispute_restores_nothing),
    Defect(simulated=asking.unguarded_expiry, real=asking.unguarded_expiry),
    Defect(simulated=asking.lost_answer_is_no),
    Defect(simulated=asking.notice_is_proof),
    Defect(simulated=asking.answers_kept),
    Defect(simulated=asking.put_off_for_ever),
    Defect(simulated=asking.archived_forgotten),
    Defect(simulated=leaving.return_url_kept),
    Defect(simulated=leaving.returned_shop_unknown),
    Defect(wall=walls.signature_not_verified, caught_by=_HOSTILE_TOKENS),
    Defect(wall=walls.audience_not_checked, caught_by=_HOSTILE_TOKENS),
    Defect(wall=walls.issuer_not_checked, caught_by=_HOSTILE_TOKENS),
    Defect(wall=walls.expiry_not_checked, caught_by=_HOSTILE_TOKENS),
    Defect(wall=walls.platform_claim_not_compared, caught_by=_OTHER_PLATFORM),
    Defect(wall=walls.lenient_json, caught_by=f"{_BAD_REQUESTS}::test_a_bad_body_is_refused_with_a_pointer"),
    Defect(wall=walls.bodies_without_limit, caught_by=f"{_BAD_REQUESTS}::test_a_large_body_is_refused"),
    Defect(wall=walls.purchase_of_anybody, caught_by=f"{_ROUTES}::test_another_merchants_ids_get_nothing"),
    Defect(wall=walls.history_of_anybody, caught_by=f"{_ROUTES}::test_another_merchants_ids_get_nothing"),
    Defect(wall=walls.everybody_seen_by_the_app, caught_by=f"{_ROWS}::test_a_row_is_seen_by_its_merchant_alone"),
    Defect(wall=walls.owner_not_walled, caught_by=f"{_ROWS}::test_every_table_that_holds_a_merchant_is_walled"),
    Defect(
        wall=walls.narrowed_for_good,
        caught_by=f"{_ROWS}::test_what_a_transaction_saw_the_next_on_its_connection_does_not",
    ),
    Defect(wall=walls.token_in_the_log, caught_by=f"{_CANARIES}[callers]"),
    Defect(wall=walls.values_in_sql_errors, caught_by=_REFUSED_ROWS),
)
WALLS: Mapping[str, Defect] = {name: each for name, each in DEFECTS.items() if each.wall is not None}
REAL: Mapping[str, Defect] = {name: each for name, each in DEFECTS.items() if each.real is not None}

"""`billing demo`."""

from billing_cli.options import Json


def demo(json: Json = False) -> None:
    """Show the main job once, end to end, on real servers, and leave nothing behind.

    Merchant, trial, purchase, payment at the sandbox checkout, credits, and the end of the trial.
    """
    from billing_cli.demonstration import run_demo
    from billing_cli.running import refusals

    with refusals():
        run_demo(json=json)

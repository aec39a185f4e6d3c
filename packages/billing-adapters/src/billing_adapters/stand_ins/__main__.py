"""`python -m billing_adapters.stand_ins shopify --port 8201`: a stand-in in the foreground, until Ctrl-C.

It prints its base URL as one line of JSON; see `control.py` for what can be done to it at `/_control`.
"""

import argparse
import asyncio
import json
import signal
import sys

from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_adapters.stand_ins.stripe import StripeStandIn

_MAKERS = {"shopify": ShopifyStandIn, "stripe": StripeStandIn}
_PORTS = {"shopify": 8201, "stripe": 8202}


def main() -> int:
    """This will run the stand-in named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m billing_adapters.stand_ins", description=__doc__)
    parser.add_argument("platform", choices=_MAKERS)
    parser.add_argument("--port", type=int, help="0 picks a free one; default 8201 for shopify, 8202 for stripe")
    arguments = parser.parse_args()
    port = _PORTS[arguments.platform] if arguments.port is None else arguments.port
    try:
        asyncio.run(_serve(arguments.platform, port))
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {port}: {error.strerror}\n")
        return 1
    return 0


async def _serve(platform: str, port: int) -> None:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    async with _MAKERS[platform]().open(port=port) as base_url:
        sys.stdout.write(json.dumps({platform: base_url}) + "\n")
        sys.stdout.flush()
        await asked_to_stop.wait()


if __name__ == "__main__":
    raise SystemExit(main())

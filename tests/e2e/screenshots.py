"""`python -m tests.e2e.screenshots`: photographs the billing page for the documentation, on the real service.

Nothing compares the pictures; what must hold of the page is in `test_billing_page.py`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser
from tests.e2e.browsing import MISSING, a_browser, a_tab, find_chromium
from tests.e2e.scenes import SCENES
from tests.e2e.shop import Shop, a_shop

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SETTLED_MS = 300  # events that are on their way arrive before the picture is taken
Picture = tuple[str, Literal["desktop", "phone"], Literal["light", "dark"]]
PICTURES: Sequence[Picture] = (
    ("before-the-trial", "desktop", "light"),
    ("before-the-trial", "phone", "light"),
    ("trial-running", "desktop", "light"),
    ("trial-running", "phone", "dark"),
    ("trial-over", "phone", "light"),
    ("purchase-open", "desktop", "light"),
    ("paid", "desktop", "light"),
    ("paid", "phone", "light"),
    ("refunded", "desktop", "dark"),
    ("needs-review", "phone", "light"),
    ("refused", "phone", "light"),
    ("loading", "phone", "light"),
    ("postgres-away", "phone", "light"),
    ("postgres-gone", "desktop", "light"),
    ("checkout", "phone", "light"),
    ("receipt", "phone", "light"),
)
# Where the purchases are what the picture is about, it begins with them.
AT_PURCHASES = {("paid", "phone"), ("needs-review", "phone"), ("purchase-open", "desktop"), ("refunded", "desktop")}


def main() -> int:
    """This will take the pictures (all, or those of the scenes named) and return 0, or 1 without a browser."""
    parser = argparse.ArgumentParser(
        prog="script/screenshots", description=__doc__, epilog="example: script/screenshots paid receipt"
    )
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"which (default: all): {', '.join(SCENES)}")
    parser.add_argument("--into", type=Path, default=IMAGES, help="the folder (default docs/images)")
    told = parser.parse_args()
    if unknown := set(told.scenes) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    if (chromium := find_chromium()) is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    wanted = [each for each in PICTURES if not told.scenes or each[0] in told.scenes]
    with tempfile.TemporaryDirectory() as folder, a_shop(Path(folder)) as shop, a_browser(chromium) as browser:
        for picture in wanted:
            sys.stdout.write(f"{take(picture, browser, shop, told.into)}\n")
    return 0


def take(picture: Picture, browser: Browser, shop: Shop, into: Path) -> Path:
    """This will take one picture and return where it is."""
    name, size, scheme = picture
    width, height = SIZES[size]
    file = into / f"{name}-{size}-{scheme}.png"
    into.mkdir(parents=True, exist_ok=True)
    with a_tab(browser, width=width, height=height, silent=False) as page:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        with SCENES[name](page, shop):
            page.wait_for_timeout(SETTLED_MS)
            if (name, size) in AT_PURCHASES:
                page.get_by_role("region", name="Purchases").evaluate("e => scrollTo(0, e.offsetTop - 16)")
            page.screenshot(path=file)
    return file


if __name__ == "__main__":
    raise SystemExit(main())

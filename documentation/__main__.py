"""`script/docs`: builds the site, or draws the pictures that are kept in the repository."""

import argparse
import functools
import http.server
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def main() -> int:
    """This will do what the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog="script/docs", description="Builds the documentation site.")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "docs", help="the folder (default build/docs)")
    parser.add_argument("--serve", action="store_true", help="serve the site on this machine afterwards")
    parser.add_argument("--port", type=int, default=8117, help="where to serve it (default 8117)")
    parser.add_argument("--links", action="store_true", help="also print the addresses of others it leads to")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures of docs/explanation anew instead")
    parser.add_argument("--ask-elsewhere", action="store_true", help="ask whether those addresses answer instead")
    asked = parser.parse_args()
    if asked.pictures:
        return _draw()
    from documentation.site import SiteFaults

    try:
        return _ask_elsewhere(asked) if asked.ask_elsewhere else _build(asked)
    except SiteFaults as faults:
        print(faults, file=sys.stderr)
        return 1


def _build(asked: argparse.Namespace) -> int:
    from documentation.site import build

    site = build(ROOT, asked.into.resolve(), _generated())
    if asked.links:
        print("\n".join(site.elsewhere))
    print(f"{site.pages} pages, every link leads somewhere; open {site.folder / 'index.html'}")
    if asked.serve:
        _serve(site.folder, asked.port)
    return 0


def _ask_elsewhere(asked: argparse.Namespace) -> int:
    from documentation.site import ask_elsewhere

    verdict = ask_elsewhere(ROOT, asked.into.resolve(), _generated())
    for each in verdict.broken:
        print(f"{each.address}: {each.status}: {each.why}")
    if verdict.offline:
        print("NOTICE: nobody answers, so there is no network here: the addresses of others were not checked")
    else:
        print(f"{verdict.answered} addresses of others answer, {len(verdict.broken)} do not")
    return 1 if verdict.broken else 0


def _generated() -> dict[str, str]:
    from documentation.reference import PAGES

    return {path: write(ROOT) for path, write in PAGES.items()}


def _serve(folder: Path, port: int) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port} until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _draw() -> int:
    from documentation.pictures import PICTURES

    for path, draw in PICTURES.items():
        (ROOT / path).write_text(draw(), encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

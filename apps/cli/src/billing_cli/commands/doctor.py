"""`billing doctor`."""

from enum import StrEnum
from typing import Annotated

import typer

from billing_cli.options import Json


class Process(StrEnum):
    """As which process NATS is looked at."""

    HTTP = "http"
    WORKER = "worker"
    CLI = "cli"
    ADMIN = "admin"


def doctor(
    process: Annotated[
        Process, typer.Option("--as", help="Come to NATS as this process, with its key, and look at its permissions.")
    ] = Process.CLI,
    json: Json = False,
) -> None:
    """Check configuration, connections, schema, streams and clocks, and say how to mend what is wrong."""
    from billing_cli.examination import examine
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

    findings = run(lambda: examine(process))
    failed = any(each.verdict == "fail" for each in findings)
    if json:
        checks = [
            {"check": each.check, "verdict": each.verdict, "detail": each.detail, "remedy": each.remedy}
            for each in findings
        ]
        print_json({"healthy": not failed, "checks": checks})
    else:
        for each in findings:
            print_lines(f"{each.verdict:<5} {each.check}: {each.detail}")
            if each.remedy:
                print_lines(f"      {each.remedy}")
    if failed:
        raise typer.Exit(1)

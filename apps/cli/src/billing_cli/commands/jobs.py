"""`billing jobs`: what must happen without anyone asking, asked for now."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Json, read_moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from billing_cli.outcome_screen import Reconciliation
    from billing_core.use_cases.jobs import JobReport, ScheduledJob

app = typer.Typer(help="The scheduled jobs; workers run them by themselves.", no_args_is_help=True)


@app.command("list", epilog="Example: billing jobs list")
def list_jobs(json: Json = False) -> None:
    """List the jobs, how often they run, and when each last did."""
    from billing_cli.running import run
    from billing_cli.terminal import interval, moment, print_json, print_table

    async def act() -> "list[tuple[ScheduledJob, datetime | None]]":
        from billing_cli.container import open_container

        async with open_container() as container:
            runs = container.job_runs()
            return [(job, await runs.last_run(job.name)) for job in container.jobs()]

    jobs = run(act)
    if json:
        print_json({"data": [_job_document(job, last_run) for job, last_run in jobs]})
    else:
        rows = [
            (job.name, interval(job.every), moment(last_run), _has_dry_run(job), job.about) for job, last_run in jobs
        ]
        print_table(("job", "every", "last run", "dry run", "what it does"), rows, nothing="There are no jobs.")


@app.command("run", epilog="Example: billing jobs run expire-trials --now 2026-12-31T00:00:00Z")
def run_job(
    name: Annotated[str, typer.Argument(help="The job, as `billing jobs list` names it.")],
    now: Annotated[str | None, typer.Option(help="Tell the job this time (RFC 3339) instead of the clock's.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Ask the platforms and tell what would change, about 1000 purchases at most, and change nothing. "
            "Only reconcile-purchases and expire-purchases can; the other jobs have no dry run and refuse it.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Run a job to its end and say what it did. Safe while workers run."""
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, say
    from billing_core.domain.events import rfc3339

    at = None if now is None else read_moment(now)
    if dry_run:
        _rehearse(name, at, json=json)
        return

    async def act() -> "JobReport":
        from billing_adapters.garbage import collect_garbage_seldom
        from billing_cli.container import open_container
        from billing_cli.progress import working

        async with open_container() as container:
            job = _find(name, container.jobs())
            collect_garbage_seldom()
            with working(f"{name}: {job.about}"):
                return await job.run(at)

    report = run(act)
    if json:
        print_json({"job": name, "now": at and rfc3339(at), "done": report.done, "figures": dict(report.figures)})
    else:
        print_facts(f"{name} is done", {"changed": report.done, **report.figures})
    for fault in report.faults:
        say(f"JOB_FAULT: {type(fault).__name__}: {fault}")
    if report.faults:
        raise typer.Exit(1)


def _rehearse(name: str, at: "datetime | None", *, json: bool) -> None:
    from billing_cli.reconciliation_screen import print_reconciliation
    from billing_cli.running import run

    async def act() -> "Reconciliation":
        from billing_cli.container import open_container
        from billing_cli.reconciliation import rehearse_job

        async with open_container() as container:
            return await rehearse_job(container, _find(name, container.jobs()).name, at)

    print_reconciliation(run(act), correlation_id=None, dry_run=True, json=json)


def _find(name: str, jobs: "Sequence[ScheduledJob]") -> "ScheduledJob":
    from billing_cli.errors import UnknownJob

    found = next((job for job in jobs if job.name == name), None)
    if found is None:
        raise UnknownJob(f"There is no job {name}. Choose one of: {', '.join(job.name for job in jobs)}.")
    return found


def _has_dry_run(job: "ScheduledJob") -> bool:
    from billing_cli.reconciliation import REHEARSED

    return job.name in REHEARSED


def _job_document(job: "ScheduledJob", last_run: "datetime | None") -> dict[str, Any]:
    from billing_core.domain.events import rfc3339

    return {
        "name": job.name,
        "every_s": int(job.every.total_seconds()),
        "last_run": last_run and rfc3339(last_run),
        "dry_run": _has_dry_run(job),
        "about": job.about,
    }

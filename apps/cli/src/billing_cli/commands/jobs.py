"""`billing jobs`: what must happen without anyone asking, asked for now."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Json, read_moment

if TYPE_CHECKING:
    from datetime import datetime

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
        rows = [(job.name, interval(job.every), moment(last_run), job.about) for job, last_run in jobs]
        print_table(("job", "every", "last run", "what it does"), rows, nothing="There are no jobs.")


@app.command("run", epilog="Example: billing jobs run expire-trials --now 2026-12-31T00:00:00Z")
def run_job(
    name: Annotated[str, typer.Argument(help="The job, as `billing jobs list` names it.")],
    now: Annotated[str | None, typer.Option(help="Tell the job this time (RFC 3339) instead of the clock's.")] = None,
    json: Json = False,
) -> None:
    """Run a job to its end and say what it did. Safe while workers run."""
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json
    from billing_core.domain.events import rfc3339

    at = None if now is None else read_moment(now)

    async def act() -> "JobReport":
        from billing_cli.container import open_container
        from billing_cli.errors import UnknownJob
        from billing_cli.progress import working

        async with open_container() as container:
            jobs = {job.name: job for job in container.jobs()}
            if name not in jobs:
                raise UnknownJob(f"There is no job {name}. Choose one of: {', '.join(jobs)}.")
            with working(f"{name}: {jobs[name].about}"):
                return await jobs[name].run(at)

    report = run(act)
    if json:
        print_json({"job": name, "now": at and rfc3339(at), "done": report.done, "figures": dict(report.figures)})
    else:
        print_facts(f"{name} is done", {"changed": report.done, **report.figures})


def _job_document(job: "ScheduledJob", last_run: "datetime | None") -> dict[str, Any]:
    from billing_core.domain.events import rfc3339

    return {
        "name": job.name,
        "every_s": int(job.every.total_seconds()),
        "last_run": last_run and rfc3339(last_run),
        "about": job.about,
    }

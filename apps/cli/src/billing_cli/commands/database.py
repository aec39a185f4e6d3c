"""`billing db`: migrations and roles."""

from typing import Annotated

import typer

from billing_cli.options import Json

app = typer.Typer(help="Migrations and roles of the database.", no_args_is_help=True)


@app.command(epilog="Example: billing db upgrade")
def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which migrations wait.")] = False,
    json: Json = False,
) -> None:
    """Bring the database to the newest schema; safe to repeat."""
    from billing_adapters.postgres import migrations
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

    url = _database_url()
    if dry_run:
        waiting = tuple(run(lambda: migrations.pending(url)))
        if json:
            print_json({"dry_run": True, "pending": waiting})
        else:
            print_lines(f"{len(waiting)} migration(s) would run: {', '.join(waiting) or 'none'}.")
        return

    async def act() -> tuple[str | None, str | None]:
        before = await migrations.current(url)
        await migrations.upgrade(url)
        return before, await migrations.current(url)

    before, after = run(act)
    if json:
        print_json({"before": before, "current": after, "changed": before != after})
    elif before == after:
        print_lines(f"The schema is at {after}; nothing to do.")
    else:
        print_lines(f"The schema went from {before or 'nothing'} to {after}.")


@app.command(epilog="Example: billing db current --json")
def current(json: Json = False) -> None:
    """Tell which schema the database has, and which is the newest."""
    from billing_adapters.postgres import migrations
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json

    url = _database_url()
    at = run(lambda: migrations.current(url))
    facts = {"current": at, "head": migrations.head()}
    if json:
        print_json(facts)
    else:
        print_facts("Schema", facts)


@app.command(epilog="Example: billing db check || billing db upgrade")
def check(json: Json = False) -> None:
    """Exit 0 where the schema is the newest, 1 where migrations wait."""
    from billing_adapters.postgres import migrations
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines, say

    url = _database_url()
    waiting = tuple(run(lambda: migrations.pending(url)))
    if json:
        print_json({"up_to_date": not waiting, "pending": waiting})
    elif not waiting:
        print_lines("The schema is up to date.")
    else:
        say(f"SCHEMA_BEHIND: {len(waiting)} migration(s) wait ({', '.join(waiting)}). Run `billing db upgrade`.")
    if waiting:
        raise typer.Exit(1)


@app.command(epilog="Example: billing db roles --dry-run")
def roles(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the statements, for whoever may run them.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a role for each kind of process, with its rights and no others; safe to repeat.

    billing_migrator owns the tables, billing_api is the HTTP app's, billing_worker the workers' and operators',
    billing_readonly is for looking. They are groups: create role NAME login password '…' in role billing_api.
    """
    from billing_adapters.postgres.roles import ROLES, create_roles
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

    url = _database_url()
    report = run(lambda: create_roles(url, dry_run=dry_run))
    if json:
        print_json({"dry_run": dry_run, "created": report.created, "statements": report.statements})
    elif dry_run:
        print_lines(*(f"{each};" for each in report.statements))
    else:
        made = f"Made {', '.join(report.created)}." if report.created else "All roles were there."
        print_lines(f"{made} Their rights are as they should be: {', '.join(ROLES)}.")
        print_lines("Next: make a login for each process, and grant it its role:")
        print_lines("  create role billing_http_1 login password '…' in role billing_api;")


def _database_url() -> str:
    from billing_adapters.settings import load_settings
    from billing_cli.running import refusals

    with refusals():
        return load_settings().database_url.get_secret_value()

"""`python -m billing_cli`: the command `billing`, where it is not on the PATH."""

from billing_cli.main import app

app(prog_name="billing")

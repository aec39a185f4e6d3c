"""How fast Billing is, next to what Postgres and NATS allow (`floors/`) and to what a team would write first
(`baselines/`), measured in one run. See docs/performance.md; run it with `script/bench`.
"""

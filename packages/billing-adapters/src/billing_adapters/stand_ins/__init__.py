"""Stand-ins for the payment platforms' APIs, for development and tests: real HTTP, their own schemas, faults on demand.

Needs the extra `billing-adapters[stand-ins]`; nothing that runs in production imports it.
"""

"""The NATS door of Billing: it consumes, relays and schedules; the use cases decide."""

"""NATS JetStream: how events leave Billing, and how those of other services arrive."""

"""Traces for an OpenTelemetry collector. Imported only where they are exported: see `billing_adapters.tracing`."""

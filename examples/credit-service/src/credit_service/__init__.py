"""A tiny Credit Service: it keeps merchants' credits by reading what Billing publishes on `evt.billing.>`."""

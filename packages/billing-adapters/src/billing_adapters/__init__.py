"""The wall of Billing: each port of the core implemented on one technology, one folder each."""

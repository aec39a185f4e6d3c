"""The HTTP door of Billing: translates requests into use cases and their answers and refusals into documents."""

"""The acts of Billing, one file each: load many, decide purely, save many, commit."""

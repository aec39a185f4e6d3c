"""The rules of Billing: frozen values and pure decisions. No I/O, no clock, no new ids."""

"""What Billing is made of: the lock files read, licences listed, a bill of materials written, advisories asked for."""

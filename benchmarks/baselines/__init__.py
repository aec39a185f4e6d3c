"""The first builds: what a team would write first, honestly written."""

"""What the use cases need from the world, in billing's own words. Every promise in a docstring is a contract test."""

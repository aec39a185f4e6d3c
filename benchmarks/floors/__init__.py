"""The floors: the same rows and messages by hand, with no framework and none of Billing's code."""

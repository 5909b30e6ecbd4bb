"""Launchers: where evaluations run, and the driver that feeds them."""

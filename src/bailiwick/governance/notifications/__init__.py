"""Tells the outside of what was recorded: signed webhooks, each event at least once."""

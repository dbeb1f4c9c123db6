"""The record of who changed what, and why."""

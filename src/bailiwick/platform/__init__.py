"""The one place that builds stores and services from settings, and runs what is done in the background."""

from bailiwick.platform.platform import Platform

__all__ = ["Platform"]

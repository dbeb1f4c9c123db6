"""Instants as clients send them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

from bailiwick.clock import in_utc

Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""With a time zone, in the years 1970 to 9998; in UTC from here on."""

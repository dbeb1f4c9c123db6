"""What becomes of a charge whose process died. Pure.

Nobody can see from a database whether the process of a charge still lives: it may run on another machine, or sleep.
So nothing rests on knowing it. A charge is settled once its time is over, in the one way that is right for either:

- *Held* past its expiry: refunded. Should its process wake, its start is refused, and data is touched only after that.
- *Started* longer than any release takes: spent, which it would become anyway. Should its process finish after all, its
  output is stored for that charge, and nothing is charged a second time.
"""

from __future__ import annotations

from datetime import timedelta

from bailiwick.privacy.releases import Charge, ChargeState

LEFT_BEHIND_AFTER = timedelta(hours=1)
"""A charge that has been running for so long is taken for one whose process crashed."""


def settled(charge: Charge) -> ChargeState:
    """The state that an unfinished charge is left in. Whatever may have touched data is spent."""
    return ChargeState.SPENT if charge.state is ChargeState.STARTED else ChargeState.REFUNDED

"""Privacy amounts as integers: nothing is lost to rounding, and ten charges of 0.1 fit a cap of 1.0 exactly.

Epsilon and rho are counted in units of 1e-9 (nano), delta in units of 1e-18 (atto). A float is read as the shortest
decimal that denotes it (``0.1`` is one tenth): the number that a person wrote, within 1e-16 of its binary value.
"""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from fractions import Fraction
from numbers import Rational

from bailiwick.errors import InvalidInput

NANO = 10**9
ATTO = 10**18
LARGEST_EPSILON = 10**6
_LARGEST_EXPONENT = 400

Amount = float | int | str | Decimal | Fraction
"""What an amount may be given as."""


def exact(value: Amount, name: str) -> Fraction:
    """A positive amount as an exact fraction.

    >>> exact(0.1, "epsilon")
    Fraction(1, 10)

    Raises:
        InvalidInput: NaN, infinite, zero, negative, subnormal, or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, float | int | str | Decimal | Rational):
        raise _refused(value, name, "is not a number")
    # Real budgets were bypassed by amounts that compare oddly (NaN) or vanish in a sum (subnormals).
    if isinstance(value, float | str | Decimal):
        try:
            number = Decimal(repr(float(value)) if isinstance(value, float) else value)
        except ArithmeticError as error:
            raise _refused(value, name, "is not a number") from error
        if not number.is_finite():
            raise _refused(value, name, "is not finite")
        if abs(number.adjusted()) > _LARGEST_EXPONENT:  # before it is written out in full
            raise _refused(value, name, "is too large or too small to be counted")
        fraction = Fraction(number)
    else:
        fraction = Fraction(value)
    if fraction <= 0:
        raise _refused(value, name, "is not positive")
    if fraction < sys.float_info.min:
        raise _refused(value, name, "is too small to be counted")
    return fraction


def units(value: Amount, per_one: int, name: str) -> int:
    """An amount in whole units of ``1 / per_one``, rounded up: a charge is never booked too low.

    >>> units(0.1, NANO, "epsilon"), units(Fraction(1, 3), NANO, "epsilon")
    (100000000, 333333334)

    Raises:
        InvalidInput: as `exact`, or more than `LARGEST_EPSILON`.
    """
    fraction = exact(value, name)
    if fraction > LARGEST_EPSILON:
        raise _refused(value, name, f"is larger than {LARGEST_EPSILON}, which protects nobody")
    return math.ceil(fraction * per_one)


def units_of_cap(value: Amount, per_one: int, name: str) -> int:
    """A cap in whole units, rounded down: a cap is never set too high.

    Raises:
        InvalidInput: as `units`, or less than one unit.
    """
    units(value, per_one, name)
    whole = math.floor(exact(value, name) * per_one)
    if whole == 0:
        raise _refused(value, name, f"is less than one unit of 1/{per_one}")
    return whole


def delta_units(value: Amount, *, cap: bool = False) -> int:
    """A delta in 1e-18, rounded up (down for a cap). Exactly zero is allowed: pure differential privacy.

    Raises:
        InvalidInput: as `units`, or 1 and more.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0
    if exact(value, "delta") >= 1:
        raise _refused(value, "delta", "is not below 1")
    return units_of_cap(value, ATTO, "delta") if cap else units(value, ATTO, "delta")


def decimal_text(amount: int, per_one: int) -> str:
    """An integer amount as the decimal it stands for, without an exponent.

    >>> decimal_text(100_000_000, NANO), decimal_text(1, ATTO)
    ('0.1', '0.000000000000000001')
    """
    text = f"{Decimal(amount) / per_one:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _refused(value: object, name: str, why: str) -> InvalidInput:
    shown = "of that size" if isinstance(value, int) and value.bit_length() > 200 else repr(value)[:80]
    return InvalidInput(
        f"{name} {shown} {why}",
        what=name,
        requested=shown,
        allowed=f"a positive finite number of at most {LARGEST_EPSILON}",
    )

"""What two questions must share to the letter before they may be taken for the same: the lexical gate. Pure.

Similar wording with another number, name or a "not" is another question, and no measure of similarity sees that
reliably.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r"""\"([^\"]{1,400})\"|`([^`]{1,400})`|(?<![\w])'([^']{1,400})'(?![\w])|[“«]([^”»]{1,400})[”»]""")
_TOKEN = re.compile(r"[^\s\"'`“”«»?!,;:()\[\]{}]+")
_NUMBER = re.compile(r"\d")
_IDENTIFIER = re.compile(r"[_@#/\\$%€£=<>]|\w[.]\w|[a-z][A-Z]|^[A-Z]{2,}$")
_NEGATION_WORDS = """
    not no never none nobody nothing nowhere neither nor without cannot except unless isnt arent wasnt werent dont
    doesnt didnt cant couldnt wont wouldnt shouldnt hasnt havent hadnt aint
    nicht kein keine ohne nie pas sans jamais non senza mai nunca sin
"""
_COUNTING_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve first second third half double twice once
    hundred thousand million billion
"""
_TO_THE_LETTER = frozenset((_NEGATION_WORDS + _COUNTING_WORDS).split())
_PRONOUNS = frozenset({"i", "i'm", "im"})
_ENDS = re.compile(r"[.?!:]\s*$")


def gate_of(text: str) -> tuple[str, ...]:
    """What must be equal, sorted: numbers, negations, quoted texts, and words that are written like names or code.

    A word with a capital letter counts as a name, unless it begins a sentence or the whole text is in capitals.

    >>> gate_of("Why is card_id NULL for 3 rows, not 'x y'?")
    ('3', 'NULL', 'card_id', 'not', 'x y')
    >>> gate_of("I can't pay 10.50€") == gate_of("I can pay 10.50€")
    False
    >>> gate_of("Where is my card? Please say"), gate_of("did Ada get her card")
    ((), ('Ada',))
    """
    found = [next(part for part in match.groups() if part is not None) for match in _QUOTED.finditer(text)]
    shouting = text.isupper() and " " in text.strip()
    end = 0
    for match in _TOKEN.finditer(text):
        begins = end == 0 or _ENDS.search(text, max(0, match.start() - 3), match.start()) is not None
        end = match.end()
        word = match[0].strip(".-")
        plain = word.lower()
        is_named = not begins and word[:1].isupper() and plain not in _PRONOUNS
        is_written = is_named or _IDENTIFIER.search(word) is not None
        if _NUMBER.search(word) or plain in _TO_THE_LETTER or (is_written and not shouting):
            found.append(plain if shouting else word)
    # a contraction is cut at its apostrophe above
    found += ["not"] * len(re.findall(r"n['’]t\b", text.lower()))
    return tuple(sorted(found))

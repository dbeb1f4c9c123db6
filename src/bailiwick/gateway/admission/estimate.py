"""How many tokens a request takes on entry, and what it used in the end. Pure.

On entry nobody has counted tokens, and counting them would cost more than everything else. So four bytes of the body
count as a token of the prompt (English text and JSON around it; OpenAI's rule of thumb), and the answer as long as the
client allows it to be, where it says so. What the model counts afterwards takes the place of the estimate.
"""

from __future__ import annotations

from bailiwick.backends.model import MOST_TOKENS, Operation
from bailiwick.caching.model import Outcome
from bailiwick.domains.model import Generation
from bailiwick.gateway.admission.model import Ticket, Used
from bailiwick.gateway.model import ModelRequest

BYTES_PER_TOKEN = 4
MOST_COPIES = 128
_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def prompt_estimate(request: ModelRequest) -> int:
    """Tokens of the prompt, by the length of the body; at least one.

    >>> prompt_estimate(ModelRequest(Operation.CHAT, "cards", None, "", None, False, {}, size=401))
    101
    """
    return max(1, -(-request.size // BYTES_PER_TOKEN))


def answer_estimate(request: ModelRequest, generation: Generation) -> int:
    """Tokens of the answer, if the client says how many there may be; else 0.

    >>> asked = ModelRequest(Operation.CHAT, "cards", None, "", None, False, {"max_tokens": 20_000, "n": 2})
    >>> answer_estimate(asked, Generation())
    16384
    """
    if request.operation is Operation.EMBEDDING:
        return 0
    allowed = [value for name in _LENGTHS if type(value := request.body.get(name)) is int and value > 0]
    if not allowed:
        return 0
    _, most = generation.bounds.get("max_tokens", (0, max(allowed)))
    copies = request.body.get("n")
    # Not every operation bounds `n`; what is estimated here may become what was used, and is added up.
    several = min(copies, MOST_COPIES) if type(copies) is int and copies > 0 else 1
    return min(min(max(allowed), int(most)) * several, MOST_TOKENS)


def used_tokens(ticket: Ticket, status: int) -> Used:
    """What a request used: as the model counts it, else an estimate; nothing where it was not answered.

    The model's count of a stream often comes only if the client asks for it; one event then counts as one token. A
    client that left while it waited for a whole answer has caused work that nobody counted: what was taken stays taken.
    A kept answer used nothing, whatever its body says of tokens.

    Args:
        ticket: of the request.
        status: of HTTP; 499 where the client left.
    """
    usage, told = ticket.meter.usage, ticket.meter.cache
    if told is not None and told.outcome is Outcome.HIT:
        return Used()
    if usage.completion_tokens is not None or usage.prompt_tokens is not None:
        return Used(usage.prompt_tokens or 0, usage.completion_tokens or 0)
    if ticket.events:
        return Used(ticket.prompt_tokens, ticket.events)
    if status in (200, 499):
        return Used(ticket.prompt_tokens, ticket.tokens - ticket.prompt_tokens)
    return Used()

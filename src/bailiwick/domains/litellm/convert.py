"""A configuration of LiteLLM's proxy as a document of domains. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bailiwick.domains.litellm.entries import entry_of
from bailiwick.domains.litellm.model import Conversion, Entry, Note
from bailiwick.domains.litellm.settings import section, unsaid
from bailiwick.domains.schema import MAX_DOMAINS, RESERVED_IDS
from bailiwick.errors import InvalidInput

LONGEST_S = 600.0
MOST_RETRIES = 10
_MOST_WEIGHT = 1_000.0
_SECTIONS = ("router_settings", "litellm_settings")


def convert(config: Any, source: str) -> Conversion:
    """What a configuration comes to here.

    Args:
        config: as parsed from YAML or JSON.
        source: the file, for errors.

    Raises:
        InvalidInput: it has no ``model_list``, an entry of it is none, or two names would be one domain.

    >>> entry = {"model_name": "chat", "litellm_params": {"model": "hosted_vllm/llama", "api_base": "http://gpu:8000/v1"}}
    >>> convert({"model_list": [entry]}, "config.yaml").document["domains"]["chat"]["backend"]["model"]
    'llama'
    """
    listed = config.get("model_list") if isinstance(config, dict) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_DOMAINS:
        raise InvalidInput(
            f"there is no `model_list` with 1 to {MAX_DOMAINS:,} entries",
            what="model_list",
            where=source,
            remedy="name the config.yaml of a LiteLLM proxy; models kept in its database are not in the file",
        )
    return _Converter(config, source).converted(listed)


def domain_id(name: str) -> str:
    """A name as a domain's id.

    >>> domain_id("GPT-4.1 mini"), domain_id("meta/llama-3"), domain_id("4o"), domain_id("auto")
    ('gpt-4-1-mini', 'meta-llama-3', 'model-4o', 'model-auto')
    """
    word = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_")
    if not word[:1].isalpha() or word in RESERVED_IDS:
        word = f"model-{word}".rstrip("-")
    return word[:64].rstrip("-_")


class _Converter:
    """One pass; domains and notes gather as it goes."""

    def __init__(self, config: Mapping[str, Any], source: str) -> None:
        self._config = config
        self._source = source
        self._domains: dict[str, dict[str, Any]] = {}
        self._notes: list[Note] = []
        self._commands: list[str] = []
        self._ids: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        self._stands_for: dict[str, str] = {}

    def converted(self, listed: Sequence[Any]) -> Conversion:
        groups: dict[str, list[Entry]] = {}
        for number, value in enumerate(listed):
            entry = entry_of(number, value, self._source, self._notes.append)
            if entry is not None:
                groups.setdefault(entry.group, []).append(entry)
        for group in groups:
            self._claim(group)
        for group, entries in groups.items():
            self._group(self._ids[group], entries)
        self._read_aliases()
        for name in _SECTIONS:
            self._fallbacks(name)
        self._aliases()
        if self._domains:
            self._keep_answers()
            self._name_keys()
        self._notes += unsaid(self._config)
        return Conversion({"domains": self._domains}, tuple(self._notes), tuple(self._commands))

    def _tell(self, where: str, says: str) -> None:
        self._notes.append(Note(where, says))

    def _claim(self, name: str) -> str:
        found = domain_id(name)
        if found in self._ids.values():
            other = next(each for each, taken in self._ids.items() if taken == found)
            raise InvalidInput(
                f"the models {other[:80]!r} and {name[:80]!r} would both be the domain {found!r}",
                what="model_name",
                where=self._source,
                remedy="rename one of them",
            )
        self._ids[name] = found
        if found != name:
            self._tell(
                f"model_name {name[:60]!r}", f"clients ask for {found!r}: a domain's id has a-z, 0-9, - and _ only"
            )
        return found

    def _group(self, group_id: str, entries: Sequence[Entry]) -> None:
        """Entries that serve the same model are replicas; what serves another stands in, as it would on a retry."""
        parts: dict[tuple[str, str | None], list[Entry]] = {}
        for entry in entries:
            parts.setdefault(entry.served, []).append(entry)
        last = None
        for number, part in enumerate(parts.values()):
            found = group_id if number == 0 else self._free(f"{group_id[:60]}-{number + 1}")
            self._domains[found] = self._domain(part)
            self._limits(found, part)
            if last is not None:
                self._domains[last]["fallback"] = found
                says = f"another model or key under one name: it is the domain {found!r}, which stands in for {last!r}"
                self._tell(part[0].where, f"{says}; a traffic plan or experiment divides users between models")
            last = found
        self._ends[group_id] = last or group_id

    def _free(self, wanted: str) -> str:
        found, number = wanted, 2
        while found in self._domains or found in self._ids.values():
            found, number = f"{wanted[:58]}-{number}", number + 1
        return found

    def _domain(self, entries: Sequence[Entry]) -> dict[str, Any]:
        first = entries[0]
        addresses: dict[str, float] = {}
        measure = next(
            (each for each in ("weight", "rpm", "tpm") if all(each in entry.shares for entry in entries)), None
        )
        for entry in entries:
            share = 1.0 if measure is None else entry.shares[measure]
            addresses[entry.address] = addresses.get(entry.address, 0.0) + share
        backend: dict[str, Any] = {
            "kind": "openai-compatible",
            "base_url": first.address if len(addresses) == 1 else list(addresses),
            "model": first.model,
            "timeout_s": self._timeout(entries),
            **self._trying(entries),
        }
        if first.api_key_env is not None:
            backend["api_key_env"] = first.api_key_env
        if len(addresses) > 1 and len(set(addresses.values())) > 1:
            scale = max(1.0, max(addresses.values()) / _MOST_WEIGHT)
            backend["weights"] = [weight / scale for weight in addresses.values()]
        if any(entry.generation != first.generation for entry in entries):
            self._tell(first.where, "its replicas set other defaults; those of the first one count")
        generation: dict[str, Any] = {**first.generation, "bounds": {"max_tokens": [1.0, 1_000_000.0]}}
        if "max_tokens" in generation:
            generation["max_tokens"] = int(generation["max_tokens"])
        return {"name": first.group, "backend": backend, "generation": generation, "lifecycle": "active"}

    def _timeout(self, entries: Sequence[Entry]) -> float:
        waits = [entry.timeout_s for entry in entries if entry.timeout_s]
        found = max(waits, default=None) or self._number("router_settings", "timeout")
        found = found or self._number("litellm_settings", "request_timeout") or LONGEST_S
        if found > LONGEST_S:
            self._tell(f"{entries[0].where}.timeout", f"{found:g} s is more than {LONGEST_S:g}, which is the most")
        return min(found, LONGEST_S)

    def _trying(self, entries: Sequence[Entry]) -> dict[str, Any]:
        stated = [entry.retries for entry in entries if entry.retries is not None]
        retries = max(stated) if stated else self._either("num_retries")
        fails = self._either("allowed_fails")
        found: dict[str, Any] = {}
        if retries is not None:
            found["retries"] = int(min(retries, MOST_RETRIES))
        if fails is not None:
            found["breaker_failures"] = int(min(fails + 1, 1_000))
        return found

    def _limits(self, found: str, entries: Sequence[Entry]) -> None:
        given = [
            f"--{name} {sum(int(entry.shares[name]) for entry in entries)}"
            for name in ("rpm", "tpm")
            if all(name in entry.shares for entry in entries)
        ]
        if given:
            self._commands.append(f"bailiwick key set --of-domain {found} {' '.join(given)}")

    def _aliases(self) -> None:
        """A name that stands for another is a domain like it."""
        for name, group in self._stands_for.items():
            origin = self._domains[self._ids[group]]
            self._domains[self._claim(name)] = {**origin, "name": name}

    def _read_aliases(self) -> None:
        aliases = section(self._config, "router_settings").get("model_group_alias")
        for name, target in aliases.items() if isinstance(aliases, dict) else ():
            group = target.get("model") if isinstance(target, dict) else target
            if isinstance(name, str) and isinstance(group, str) and group in self._ids and name not in self._ids:
                self._stands_for[name] = group
            else:
                place = f"router_settings.model_group_alias.{str(name)[:60]}"
                self._tell(place, "left out: it stands for no model here, or is one itself")

    def _fallbacks(self, name: str) -> None:
        settings = section(self._config, name)
        stated = settings.get("fallbacks")
        for each in stated if isinstance(stated, list) else ():
            for group, targets in each.items() if isinstance(each, dict) else ():
                self._fall_back(f"{name}.fallbacks", group, targets)
        usual = settings.get("default_fallbacks")
        if isinstance(usual, list) and usual:
            for group in list(self._ids):
                if group not in usual and "fallback" not in self._domains[self._ends[self._ids[group]]]:
                    self._fall_back(f"{name}.default_fallbacks", group, usual)

    def _fall_back(self, where: str, group: Any, targets: Any) -> None:
        place = f"{where} of {str(group)[:60]!r}"
        stated = targets if isinstance(targets, list) else [targets]
        names = [each for each in stated if isinstance(each, str)]
        group = self._stands_for.get(group, group) if isinstance(group, str) else group
        named = [self._stands_for.get(each, each) for each in names]
        known = [each for each in named if each in self._ids and each != group]
        if not isinstance(group, str) or group not in self._ids or not known:
            self._tell(place, "left out: it names no model that is carried over")
            return
        end, target = self._ends[self._ids[group]], self._ids[known[0]]
        if "fallback" in self._domains[end]:
            self._tell(place, f"left out: {self._domains[end]['fallback']!r} stands in for {end!r} already")
            return
        if end in self._chain(target):
            self._tell(place, f"left out: fallbacks may not form a circle, and {end!r} stands in for {target!r}")
            return
        self._domains[end]["fallback"] = target
        if len(known) > 1:
            self._tell(place, f"after {target!r} comes the fallback of {target!r}, not {self._ids[known[1]]!r}")

    def _chain(self, found: str) -> list[str]:
        """A domain and whoever stands in after it."""
        chain = [found]
        while (following := self._domains[chain[-1]].get("fallback")) is not None:
            chain.append(following)
        return chain

    def _keep_answers(self) -> None:
        settings = section(self._config, "litellm_settings")
        if settings.get("cache") is not True:
            return
        parameters = section(settings, "cache_params")
        kept: dict[str, Any] = {"sampled": True}
        ttl = parameters.get("ttl")
        if isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0:
            kept["ttl_s"] = float(min(ttl, 30 * 86_400))
        for domain in self._domains.values():
            domain["cache"] = kept
        self._tell(
            "litellm_settings.cache",
            "every domain keeps answers, also those drawn at random, and everyone shares them; see docs/cache.md",
        )
        kind = parameters.get("type")
        if isinstance(kind, str) and "semantic" in kind:
            self._tell(
                "litellm_settings.cache_params", "similar questions share with a proof only: bailiwick cache similar"
            )
        elif kind == "redis":
            self._tell("litellm_settings.cache_params", "BAILIWICK_REDIS_URL names the Redis")

    def _name_keys(self) -> None:
        variables = {domain["backend"].get("api_key_env") for domain in self._domains.values()} - {None}
        if variables:
            self._tell("api_key", f"`bailiwick serve` reads the keys of upstreams from {', '.join(sorted(variables))}")

    def _either(self, name: str) -> float | None:
        found = self._number("router_settings", name)
        return self._number("litellm_settings", name) if found is None else found

    def _number(self, name: str, field: str) -> float | None:
        value = section(self._config, name).get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if 0 <= value <= 1e9 else None

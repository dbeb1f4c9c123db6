"""How domains look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bailiwick.cli.console import out, print_table
from bailiwick.domains.difference import flattened, revision_difference
from bailiwick.domains.merge import ImportOutcome
from bailiwick.domains.model import DomainRevision, FieldChange

_SHOWN_WORDS = 20
_LISTS = ("keywords", "tags", "examples")


def show_list(revisions: Sequence[DomainRevision], default_domain: str | None) -> None:
    """A table of domains."""
    print_table(
        "Domains",
        ("id", "lifecycle", "rev", "layer", "team", "words", "fallback"),
        [
            (
                each.domain.id,
                each.lifecycle.value,
                each.revision,
                each.domain.layer,
                each.domain.team,
                len(each.domain.keywords) + len(each.domain.tags),
                each.domain.fallback,
            )
            for each in revisions
        ],
    )
    out.print(f"Default domain: {default_domain or 'none'}", markup=False)


def show_one(revision: DomainRevision) -> None:
    """A table of one domain's fields."""
    fields = flattened(revision.domain)
    rows: list[tuple[str, Any]] = [
        ("lifecycle", revision.lifecycle.value),
        ("revision", f"{revision.revision} by {revision.created_by} at {revision.created_at:%Y-%m-%d %H:%M:%S}Z"),
    ]
    if revision.reason:
        rows.append(("reason", revision.reason))
    for name, value in fields.items():
        if name == "examples":
            value = [example["text"] for example in value]
        if value not in (None, "", [], {}):
            rows.append((name, _some(value) if isinstance(value, list) else _plain(value)))
    print_table(f"Domain {revision.domain.id}", ("field", "value"), rows)


def show_history(revisions: Sequence[DomainRevision]) -> None:
    """A table of revisions, newest first, each with the fields it changed."""
    older: list[DomainRevision | None] = [*revisions[1:], None]
    rows = []
    for each, before in zip(revisions, older, strict=True):
        if before is not None:
            changed = ", ".join(change.field for change in revision_difference(before, each))
        else:
            changed = "created" if each.revision == 1 else "..."
        rows.append((each.revision, each.lifecycle.value, each.created_at, each.created_by, changed, each.reason))
    print_table(f"History of {revisions[0].domain.id}", ("rev", "lifecycle", "at (UTC)", "who", "changed", "why"), rows)


def show_diff(domain_id: str, changes: Sequence[FieldChange]) -> None:
    """A table of changed fields; of lists, what came and what went."""
    if not changes:
        out.print("No difference.")
        return
    print_table(f"Changes of {domain_id}", ("field", "before", "after"), [_difference(change) for change in changes])


def show_import(outcome: ImportOutcome) -> None:
    """What an import did, or would do."""
    verb = "Would create" if outcome.dry_run else "Created"
    parts = [
        f"{verb} {len(outcome.created)}",
        f"{'update' if outcome.dry_run else 'updated'} {len(outcome.updated)}",
        f"{'leave' if outcome.dry_run else 'left'} {len(outcome.unchanged)} as they were",
    ]
    out.print(", ".join(parts) + ".", markup=False)
    for label, ids in (("created", outcome.created), ("updated", outcome.updated)):
        if ids:
            out.print(f"  {label}: {', '.join(ids)}", markup=False)
    out.print(f"  default domain: {outcome.default_domain or 'none'}", markup=False)


def next_step(text: str) -> None:
    """A hint at what to do next."""
    out.print(f"Next: {text}", style="dim", markup=False)


def _difference(change: FieldChange) -> tuple[str, str, str]:
    if change.field in _LISTS and isinstance(change.before, list) and isinstance(change.after, list):
        before, after = (list(map(_entry, side)) for side in (change.before, change.after))
        gone = [f"- {entry}" for entry in before if entry not in after]
        new = [f"+ {entry}" for entry in after if entry not in before]
        if gone or new:
            return change.field, "\n".join(gone), "\n".join(new)
        return change.field, "another order", ""
    return change.field, _plain(change.before), _plain(change.after)


def _entry(value: Any) -> str:
    if isinstance(value, dict):
        label = f" [{value['label']}]" if value.get("label") else ""
        return f"{value['text']}{label}"
    return str(value)


def _some(values: Sequence[Any]) -> str:
    listed = ", ".join(str(value) for value in values[:_SHOWN_WORDS])
    return f"{listed}, and {len(values) - _SHOWN_WORDS} more" if len(values) > _SHOWN_WORDS else listed


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return str(value)

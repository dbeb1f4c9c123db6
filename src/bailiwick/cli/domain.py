"""`bailiwick domain`: create, change, list, import and export domains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli import domain_options as options
from bailiwick.cli import domain_views as views
from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.cli.files import write_whole
from bailiwick.cli.litellm import import_litellm
from bailiwick.domains.difference import with_values
from bailiwick.domains.document import (
    MAX_DOCUMENT_BYTES,
    domain_json,
    parse_document,
    parse_domain,
    revision_json,
    serialise,
)
from bailiwick.domains.model import MAX_REVISION, Domain, DomainRevision, DomainSet, Lifecycle
from bailiwick.domains.remote import RemoteDomains
from bailiwick.domains.service import LIVING
from bailiwick.domains.sources import read_file
from bailiwick.errors import InvalidInput

app = typer.Typer(
    help="Create, change, list, import and export domains.",
    epilog='Example: bailiwick domain create cards --name "Cards" --keyword card --keyword pin --activate',
    no_args_is_help=True,
    add_completion=False,
)

Revision = Annotated[int | None, typer.Option(min=1, max=MAX_REVISION)]
ExpectRevision = Annotated[
    int | None, typer.Option(min=1, max=MAX_REVISION, help="Fail if the domain is at another revision by now.")
]


@app.command()
def create(
    ctx: typer.Context,
    domain_id: options.DomainId,
    file: options.File = None,
    name: options.Name = None,
    agent_id: options.AgentId = None,
    layer: options.Layer = None,
    team: options.Team = None,
    description: options.Description = None,
    keyword: options.Keyword = None,
    tag: options.Tag = None,
    example: options.Example = None,
    backend: options.BackendKind = None,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    api_key_env: options.ApiKeyEnv = None,
    fallback: options.Fallback = None,
    enabled_env_var: options.EnabledEnvVar = None,
    assignments: options.Set = None,
    activate: Annotated[bool, typer.Option("--activate", help="Make it active at once, not a draft.")] = False,
    reason: options.Reason = None,
) -> None:
    """Create a domain from options, a JSON file, or both (options win).

    Example: bailiwick domain create cards --name "Cards" --keyword card --keyword pin
    """
    given = options.described(
        name=name, agent_id=agent_id, layer=layer, team=team, description=description, keywords=keyword, tags=tag,
        backend=backend, base_url=base_url, model=model, api_key_env=api_key_env, fallback=fallback,
        enabled_env_var=enabled_env_var, examples=example, assignments=assignments,
    )  # fmt: skip
    domain = _parsed(domain_id, options.file_fields(file), given, file)
    created = flags(ctx).platform.domains.create(domain, flags(ctx).actor(reason), activate=activate)
    _changed(ctx, "Created", created)
    if not flags(ctx).json:
        views.next_step(f"bailiwick domain show {domain_id}" if activate else f"bailiwick domain activate {domain_id}")


@app.command()
def update(
    ctx: typer.Context,
    domain_id: options.DomainId,
    file: options.File = None,
    name: options.Name = None,
    agent_id: options.AgentId = None,
    layer: options.Layer = None,
    team: options.Team = None,
    description: options.Description = None,
    keyword: options.Keyword = None,
    add_keyword: Annotated[list[str] | None, typer.Option(help="A further keyword; repeatable.")] = None,
    remove_keyword: Annotated[list[str] | None, typer.Option(help="A keyword to drop; repeatable.")] = None,
    tag: options.Tag = None,
    add_tag: Annotated[list[str] | None, typer.Option(help="A further tag; repeatable.")] = None,
    remove_tag: Annotated[list[str] | None, typer.Option(help="A tag to drop; repeatable.")] = None,
    example: options.Example = None,
    backend: options.BackendKind = None,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    api_key_env: options.ApiKeyEnv = None,
    fallback: options.Fallback = None,
    enabled_env_var: options.EnabledEnvVar = None,
    assignments: options.Set = None,
    from_revision: Annotated[
        int | None, typer.Option(min=1, max=MAX_REVISION, help="Start from an earlier revision: undo.")
    ] = None,
    expect_revision: ExpectRevision = None,
    reason: options.Reason = None,
) -> None:
    """Change a domain: the named fields only, or with --file all of them.

    Example: bailiwick domain update cards --add-keyword contactless --set thresholds.min_accuracy=0.9
    """
    platform = flags(ctx).platform
    current = platform.domains.get(domain_id)
    given = options.described(
        name=name, agent_id=agent_id, layer=layer, team=team, description=description, keywords=keyword, tags=tag,
        backend=backend, base_url=base_url, model=model, api_key_env=api_key_env, fallback=fallback,
        enabled_env_var=enabled_env_var, examples=example, assignments=assignments,
    )  # fmt: skip
    base = current if from_revision is None else platform.domains.get(domain_id, from_revision)
    fields = domain_json(base.domain) if file is None else options.file_fields(file)
    given |= _word_edits(fields | given, add_keyword, remove_keyword, add_tag, remove_tag)
    domain = _parsed(domain_id, fields, given, file)
    expected = current.revision if expect_revision is None else expect_revision
    updated = platform.domains.update(domain, flags(ctx).actor(reason), expected_revision=expected)
    if updated == current and not flags(ctx).json:
        out.print(f"Domain {domain_id} is like that already (revision {current.revision}).", markup=False)
        return
    _changed(ctx, "Updated", updated)
    if not flags(ctx).json:
        views.next_step(f"bailiwick domain diff {domain_id}")


@app.command()
def activate(
    ctx: typer.Context,
    domain_id: options.DomainId,
    expect_revision: ExpectRevision = None,
    reason: options.Reason = None,
) -> None:
    """Let a draft or archived domain be detected and served."""
    service = flags(ctx).platform.domains
    _changed(ctx, "Active:", service.activate(domain_id, flags(ctx).actor(reason), expected_revision=expect_revision))


@app.command()
def archive(
    ctx: typer.Context,
    domain_id: options.DomainId,
    expect_revision: ExpectRevision = None,
    reason: options.Reason = None,
) -> None:
    """Take a domain out of detection and service; `activate` brings it back."""
    service = flags(ctx).platform.domains
    _changed(ctx, "Archived", service.archive(domain_id, flags(ctx).actor(reason), expected_revision=expect_revision))


@app.command()
def delete(
    ctx: typer.Context,
    domain_id: options.DomainId,
    force: Annotated[bool, typer.Option("--force", help="Needed: yes, delete it.")] = False,
    expect_revision: ExpectRevision = None,
    reason: options.Reason = None,
) -> None:
    """Delete a domain. Its history stays."""
    service = flags(ctx).platform.domains
    actor = flags(ctx).actor(reason)
    _changed(ctx, "Deleted", service.delete(domain_id, actor, force=force, expected_revision=expect_revision))


@app.command()
def default(
    ctx: typer.Context,
    domain_id: Annotated[str | None, typer.Argument(help="An active domain; leave out to see the present one.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Let no domain be the default.")] = False,
    reason: options.Reason = None,
) -> None:
    """Show or name the domain that answers what no other claims."""
    service = flags(ctx).platform.domains
    if none and domain_id is not None:
        raise InvalidInput("name a domain or --none, not both", what="--none")
    if none or domain_id is not None:
        service.set_default(domain_id, flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json({"default_domain": service.default_domain()})
    else:
        out.print(f"Default domain: {service.default_domain() or 'none'}", markup=False)


@app.command("list")
def list_domains(
    ctx: typer.Context,
    lifecycle: Annotated[
        list[Lifecycle] | None, typer.Option(help="Only these; repeatable. (default: all but deleted)")
    ] = None,
) -> None:
    """List the domains."""
    service = flags(ctx).platform.domains
    found = service.list_domains(tuple(lifecycle or LIVING))
    if flags(ctx).json:
        print_json([revision_json(each) for each in found])
        return
    if not found:
        out.print("There is no domain yet." if not lifecycle else "There is no such domain.")
        views.next_step("bailiwick domain create ID --keyword WORD, or bailiwick domain import FILE")
        return
    views.show_list(found, service.default_domain())


@app.command()
def show(ctx: typer.Context, domain_id: options.DomainId, revision: Revision = None) -> None:
    """Show a domain as it is, or as it was at a revision."""
    found = flags(ctx).platform.domains.get(domain_id, revision)
    if flags(ctx).json:
        print_json(revision_json(found))
    else:
        views.show_one(found)


@app.command()
def history(
    ctx: typer.Context,
    domain_id: options.DomainId,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List a domain's revisions, newest first, also of a deleted one."""
    found = flags(ctx).platform.domains.history(domain_id, limit)
    if flags(ctx).json:
        print_json([revision_json(each) for each in found])
    else:
        views.show_history(found)


@app.command()
def diff(
    ctx: typer.Context,
    domain_id: options.DomainId,
    before: Annotated[
        int | None, typer.Option("--from", min=1, max=MAX_REVISION, help="(default: the one before --to)")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--to", min=1, max=MAX_REVISION, help="(default: the current one)")
    ] = None,
) -> None:
    """Show what changed between two revisions."""
    changes = flags(ctx).platform.domains.diff(domain_id, before, after)
    if flags(ctx).json:
        print_json([{"field": each.field, "before": each.before, "after": each.after} for each in changes])
    else:
        views.show_diff(domain_id, changes)


@app.command("import")
def import_document(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="A file, - for standard input, or the URL of another Bailiwick.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report only.")] = False,
    reason: options.Reason = None,
) -> None:
    """Create and update domains from a document: all of it or nothing.

    Examples: bailiwick domain import domains.json --dry-run; bailiwick domain import http://other:8700
    """
    service = flags(ctx).platform.domains
    document = _fetched(source, [each.domain.id for each in service.list_domains()])
    outcome = service.import_document(document, flags(ctx).actor(reason), dry_run=dry_run)
    if flags(ctx).json:
        print_json(outcome)
        return
    views.show_import(outcome)
    views.next_step(f"bailiwick domain import {source}" if dry_run else "bailiwick domain list")


app.command("import-litellm")(import_litellm)


@app.command("export")
def export_document(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Write all domains as one document, to standard output or a file."""
    document = flags(ctx).platform.domains.export_document()
    data = serialise(document)
    if output is None:
        sys.stdout.write(data.decode())
        return
    write_whole(output, data)
    if flags(ctx).json:
        print_json({"file": str(output), "domains": len(document.domains)})
    else:
        out.print(f"Wrote {len(document.domains)} domains to {output}.", markup=False)


def _parsed(domain_id: str, fields: dict[str, Any], given: dict[str, Any], file: Path | None) -> Domain:
    return parse_domain(domain_id, with_values(fields, given), source="options" if file is None else str(file))


def _word_edits(
    fields: dict[str, Any],
    add_keyword: list[str] | None,
    remove_keyword: list[str] | None,
    add_tag: list[str] | None,
    remove_tag: list[str] | None,
) -> dict[str, Any]:
    """The keywords and tags after additions and removals, and the attention weights that go with them."""
    lists = {name: list(fields.get(name, ())) for name in ("keywords", "tags")}
    edits = {
        "keywords": options.edited_words("keywords", lists["keywords"], add_keyword, remove_keyword),
        "tags": options.edited_words("tags", lists["tags"], add_tag, remove_tag),
    }
    changed: dict[str, Any] = {name: words for name, words in edits.items() if words is not None}
    if changed and fields.get("attention_weights"):
        words = [word for each in (lists | changed).values() for word in each]
        changed["attention_weights"] = options.kept_weights(fields["attention_weights"], words)
    return changed


def _changed(ctx: typer.Context, verb: str, revision: DomainRevision) -> None:
    if flags(ctx).json:
        print_json(revision_json(revision))
        return
    out.print(f"{verb} {revision.domain.id} ({revision.lifecycle}, revision {revision.revision}).", markup=False)


def _fetched(source: str, known: list[str]) -> DomainSet:
    if source.startswith(("http://", "https://")):
        state = RemoteDomains(source).load()
        return DomainSet() if state is None else state.document
    if source == "-":
        data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        return parse_document(data, source="standard input", known_domains=known)
    return parse_document(read_file(Path(source)), source=source, known_domains=known)

"""Reads Control-M exports (XML of Control-M/EM): folders, jobs, conditions, and what each job awaits, raises and runs.

Element and attribute names follow BMC's definition files (``DEFTABLE``, ``DEFFOLDER``, ``DEFJOB``), old terms included:
``SCHED_TABLE``, ``SCHED_GROUP`` and ``TABLE`` are folders, ``AUTOEDIT`` and ``AUTOEDIT2`` are variables.
Order between jobs is not in a file alone: `bailiwick.extraction.job_flow` derives it over all files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from lxml import etree

from bailiwick.extraction.files import Unreadable, Unrecognised
from bailiwick.extraction.model import FileFacts, Outcome, StatementOutcome
from bailiwick.extraction.variables import expand, mask
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id

PARSER: Final = "control-m"

_ROOTS = {"DEFTABLE", "DEFFOLDER", "DEFJOB", "DEFCAL", "DEFAULTS"}
_FOLDERS = {
    "FOLDER",
    "SMART_FOLDER",
    "SUB_FOLDER",
    "TABLE",
    "SCHED_TABLE",
    "SMART_TABLE",
    "SUB_TABLE",
    "SCHED_GROUP",
}
_FOLDER_NAMES = ("FOLDER_NAME", "TABLE_NAME", "GROUP_NAME", "JOBNAME", "NAME")
_SAFE_ENCODINGS = re.compile(
    r"utf-?8|utf-?16|us-ascii|ascii|iso-8859-\d+|windows-125\d|cp125\d|latin-?1", re.IGNORECASE
)
_DECLARED_ENCODING = re.compile(rb"^\s*<\?xml[^>]*encoding\s*=\s*[\"']([\w.:-]+)")
_ENTITY = re.compile(b"|".join(re.escape("<!ENTITY".encode(name)) for name in ("utf-8", "utf-16-le", "utf-16-be")))

# property of the job node: attributes of the export, the newest name first
_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "application": ("APPLICATION",),
    "sub_application": ("SUB_APPLICATION", "GROUP"),
    "description": ("DESCRIPTION",),
    "task_type": ("TASKTYPE",),
    "application_type": ("APPL_TYPE",),
    "member": ("MEMNAME",),
    "member_library": ("MEMLIB",),
    "file_path": ("FILE_PATH",),
    "host": ("NODEID", "NODEGRP"),
    "run_as": ("RUN_AS", "OWNER"),
    "priority": ("PRIORITY",),
    "time_from": ("TIMEFROM",),
    "time_to": ("TIMETO",),
    "days": ("DAYS",),
    "weekdays": ("WEEKDAYS",),
    "days_calendar": ("DAYSCAL",),
    "confirmation_calendar": ("CONFCAL",),
    "interval": ("INTERVAL",),
    "order_method": ("FOLDER_ORDER_METHOD", "TABLE_USERDAILY"),
    "site_standard": ("SITE_STANDARD_NAME",),
    "platform": ("PLATFORM",),
}
_CONDITION_TAGS = {"INCOND", "OUTCOND", "DOCOND"}


@dataclass
class _Item:
    """A folder or job while its element is open."""

    tag: str
    attributes: dict[str, str]
    line: int
    parent: _Item | None
    variables: dict[str, str] = field(default_factory=dict)
    conditions: list[tuple[str, dict[str, str], str, int]] = field(default_factory=list)  # tag, attributes, on, line
    forces: list[dict[str, str]] = field(default_factory=list)
    calendars: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    qualified: str = ""

    @property
    def kind(self) -> NodeKind:
        return NodeKind.JOB if self.tag == "JOB" else NodeKind.JOB_FOLDER

    @property
    def id(self) -> str:
        return node_id(self.kind, self.qualified)

    @property
    def name(self) -> str:
        names = ("JOBNAME", "MEMNAME", "NAME") if self.kind is NodeKind.JOB else _FOLDER_NAMES
        return _first(self.attributes, names) or f"{self.tag.lower()}-{self.attributes.get('JOBISN', self.line)}"

    def scopes(self) -> Iterator[Mapping[str, str]]:
        """Variables from the innermost scope outwards."""
        item: _Item | None = self
        while item is not None:
            yield item.variables
            item = item.parent


def read_control_m(data: bytes, path: str) -> FileFacts:
    """The facts of one export.

    Nodes are folders, jobs and conditions; edges are HAS, RAISES, AWAITS and CLEARS. Their ``source`` and run are
    empty: the assembler fills them in. Edges keep ``odate``, ``logic`` (``and`` or ``or``) and ``on`` as properties.

    Args:
        data: the file's bytes; XML says its encoding itself.
        path: the file's name, for provenance.

    Raises:
        Unreadable: not well-formed, truncated, or hostile (entities, an unusual encoding, too deep).
        Unrecognised: well-formed XML, but no Control-M export.
    """
    _refuse_hostile(data)
    items = list(_items(data))
    used: set[str] = set()
    for item in items:
        item.qualified = _qualify(item, used)
    nodes: dict[str, Node] = {}
    edges: dict[str, Edge] = {}
    outcomes: list[StatementOutcome] = []
    for item in items:
        nodes[item.id] = _node(item, path)
        if item.parent is not None:
            _add(edges, EdgeKind.HAS, item.parent.id, item.id, path, item.line)
        nameless = _add_conditions(item, path, nodes, edges)
        if item.kind is NodeKind.JOB:
            outcomes.append(_outcome(item, nodes[item.id], path, len(outcomes), nameless))
    return FileFacts(path, nodes=tuple(nodes.values()), edges=tuple(edges.values()), outcomes=tuple(outcomes))


def _refuse_hostile(data: bytes) -> None:
    declared = _DECLARED_ENCODING.match(data)
    if declared and not _SAFE_ENCODINGS.fullmatch(declared[1].decode("ascii")):
        raise Unreadable(f"declares the encoding {declared[1].decode('ascii')!r}, which is not accepted", line=1)
    entity = _ENTITY.search(data)
    if entity:
        line = data.count(b"\n", 0, entity.start()) + 1
        raise Unreadable("declares XML entities, which are refused: they can hide other files or a bomb", line=line)


def _items(data: bytes) -> Iterator[_Item]:
    """Every folder and job, parents before children; elements are freed as soon as they are read."""
    stack: list[_Item] = []
    found: list[_Item] = []
    loose: dict[str, _Item] = {}
    try:
        events = etree.iterparse(
            BytesIO(data),
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        for number, (event, element) in enumerate(events):
            tag = str(element.tag)
            if number == 0 and tag not in _ROOTS | _FOLDERS:
                raise Unrecognised(f"XML whose root is <{tag[:60]}>: not a Control-M export")
            if event == "start":
                if tag in _FOLDERS or tag == "JOB":
                    attributes = {str(name): str(value) for name, value in element.attrib.items()}
                    parent = stack[-1] if stack else _loose_parent(tag, attributes, element.sourceline, loose, found)
                    stack.append(_Item(tag, attributes, element.sourceline or 0, parent))
                    found.append(stack[-1])
            elif tag in _FOLDERS or tag == "JOB":
                stack.pop()
                _free(element)
            elif stack:
                _take_child(stack[-1], tag, element)
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"not well-formed XML: {error.msg}", line=error.lineno or None) from error
    return iter(found)


def _loose_parent(
    tag: str, attributes: Mapping[str, str], line: int | None, loose: dict[str, _Item], found: list[_Item]
) -> _Item | None:
    """The folder of a job that stands alone (``DEFJOB``): only its name is known."""
    name = _first(attributes, ("PARENT_FOLDER", "PARENT_TABLE"))
    if tag != "JOB" or not name:
        return None
    if name not in loose:
        carried = {key: attributes[key] for key in ("DATACENTER",) if attributes.get(key)}
        loose[name] = _Item("FOLDER", {"FOLDER_NAME": name, **carried}, line or 0, None)
        found.append(loose[name])
    return loose[name]


def _free(element: Any) -> None:
    element.clear(keep_tail=False)
    while element.getprevious() is not None:
        del element.getparent()[0]


def _take_child(item: _Item, tag: str, element: Any) -> None:
    attributes = {str(name): str(value) for name, value in element.attrib.items()}
    if tag in _CONDITION_TAGS:
        on = element.getparent().attrib if tag == "DOCOND" else {}
        when = " ".join(str(on[key]) for key in ("STMT", "CODE") if on.get(key))
        item.conditions.append((tag, attributes, when, element.sourceline or item.line))
    elif tag in {"VARIABLE", "AUTOEDIT2"} and attributes.get("NAME"):
        item.variables[attributes["NAME"].lstrip("%\\").upper()] = attributes.get("VALUE", "")
    elif tag == "AUTOEDIT" and "=" in attributes.get("EXP", ""):
        name, value = attributes["EXP"].split("=", 1)
        item.variables[name.strip().lstrip("%\\").upper()] = value.strip()
    elif tag in {"DOFORCEJOB", "DOFORCE"}:
        folder = _first(attributes, ("TABLE_NAME", "FOLDER_NAME", "FOLDER")) or ""
        item.forces.append({"folder": folder, "job": attributes.get("NAME", "")})
    elif tag == "RULE_BASED_CALENDARS" and attributes.get("NAME", "*") != "*":
        item.calendars.append(attributes["NAME"])
    elif tag in {"QUANTITATIVE", "CONTROL"} and attributes.get("NAME"):
        item.resources.append(attributes["NAME"])


def _qualify(item: _Item, used: set[str]) -> str:
    if item.parent is not None:
        base = f"{item.parent.qualified}/{item.name}"
    else:
        datacenter = item.attributes.get("DATACENTER")
        base = f"{datacenter}:{item.name}" if datacenter else item.name
    qualified, count = f"{item.kind}\0{base}", 1
    while qualified in used:  # Control-M allows twins; their order in the file tells them apart
        count += 1
        qualified = f"{item.kind}\0{base}#{count}"
    used.add(qualified)
    return qualified.split("\0", 1)[1]


def _node(item: _Item, path: str) -> Node:
    properties: dict[str, Any] = {
        name: value for name, keys in _PROPERTIES.items() if (value := _first(item.attributes, keys))
    }
    for name, key in (("critical", "CRITICAL"), ("cyclic", "CYCLIC")):
        if item.attributes.get(key, "0") not in {"0", "N", ""}:
            properties[name] = True
    scopes = list(item.scopes())
    if item.attributes.get("CMDLINE"):
        properties["command"] = expand(item.attributes["CMDLINE"], scopes)
    for name in ("member", "member_library", "file_path"):
        if name in properties:
            properties[name] = expand(properties[name], scopes)
    for name, values in (("calendars", item.calendars), ("resources", item.resources)):
        if values:
            properties[name] = sorted(set(values))
    if item.variables:
        properties["variables"] = {name: mask(name, value) for name, value in sorted(item.variables.items())}
    if item.forces:
        properties["forces"] = item.forces
    if item.kind is NodeKind.JOB_FOLDER:
        properties["folder_type"] = item.tag.lower()
    return Node(item.id, item.kind, item.name, item.qualified, "", _provenance(path, item.line), properties)


def _add_conditions(item: _Item, path: str, nodes: dict[str, Node], edges: dict[str, Edge]) -> int:
    """Add the condition nodes and edges of an item; gives the number of conditions that carry no name."""
    nameless = 0
    for tag, attributes, when, line in item.conditions:
        name = attributes.get("NAME", "").strip()
        if not name:
            nameless += 1
            continue
        condition = node_id(NodeKind.CONDITION, name)
        if condition not in nodes:
            nodes[condition] = Node(condition, NodeKind.CONDITION, name, name, "", _provenance(path, line))
        if tag == "INCOND":
            kind = EdgeKind.AWAITS
        else:
            kind = EdgeKind.CLEARS if attributes.get("SIGN", "+").upper() in {"-", "DEL"} else EdgeKind.RAISES
        odate = attributes.get("ODATE", "ODAT").upper()
        properties: dict[str, Any] = {"odate": odate}
        if tag == "INCOND":
            properties["logic"] = "or" if attributes.get("AND_OR", "A").upper().startswith("O") else "and"
        if when:
            properties["on"] = when
        _add(edges, kind, item.id, condition, path, line, "" if odate == "ODAT" else odate, properties)
    return nameless


def _add(
    edges: dict[str, Edge],
    kind: EdgeKind,
    start: str,
    end: str,
    path: str,
    line: int,
    role: str = "",
    properties: Mapping[str, Any] | None = None,
) -> None:
    edge = Edge(edge_id(kind, start, end, role), kind, start, end, "", _provenance(path, line), role, properties or {})
    known = edges.get(edge.id)
    if known is None or ("on" in known.properties and "on" not in edge.properties):
        edges[edge.id] = edge  # what always happens outranks what happens on a return code


def _outcome(item: _Item, node: Node, path: str, index: int, nameless: int) -> StatementOutcome:
    runs = node.properties.get("command") or node.properties.get("member") or node.properties.get("task_type", "")
    return StatementOutcome(
        file=path,
        line=item.line,
        index=index,
        kind="job",
        outcome=Outcome.FALLBACK if nameless else Outcome.PARSED,
        parser=PARSER,
        message=f"{nameless} conditions without a NAME were left out" if nameless else None,
        text=f"{item.qualified}: {runs}"[:400],
    )


def _provenance(path: str, line: int) -> Provenance:
    return Provenance(path, line, PARSER, "")


def _first(attributes: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((attributes[name] for name in names if attributes.get(name)), None)

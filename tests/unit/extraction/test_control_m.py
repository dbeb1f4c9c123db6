from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bailiwick.extraction.control_m import read_control_m
from bailiwick.extraction.files import Unreadable, Unrecognised
from bailiwick.extraction.job_flow import FORCES, OTHER_DAY, awaited_in_vain, precedence, runs
from bailiwick.extraction.model import FileFacts, Outcome
from bailiwick.graph.model import EdgeKind, Node, NodeKind


def read(body: str, root: str = "DEFTABLE") -> FileFacts:
    return read_control_m(f'<?xml version="1.0" encoding="utf-8"?><{root}>{body}</{root}>'.encode(), "jobs.xml")


def flow(facts: FileFacts, role: str = "") -> set[tuple[str, str]]:
    names = {node.id: node.name for node in facts.nodes}
    edges = precedence(facts.nodes, facts.edges)
    return {(names[edge.start], names[edge.end]) for edge in edges if edge.role == role}


def node(facts: FileFacts, name: str) -> Node:
    return next(node for node in facts.nodes if node.name == name)


def job(name: str, inside: str = "", **attributes: str) -> str:
    told = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f'<JOB JOBNAME="{name}" {told}>{inside}</JOB>'


def awaits(name: str, odate: str = "ODAT", and_or: str = "A") -> str:
    return f'<INCOND NAME="{name}" ODATE="{odate}" AND_OR="{and_or}"/>'


def raises(name: str, sign: str = "+", odate: str = "ODAT") -> str:
    return f'<OUTCOND NAME="{name}" ODATE="{odate}" SIGN="{sign}"/>'


def folder(name: str, inside: str, tag: str = "FOLDER", **attributes: str) -> str:
    told = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f'<{tag} FOLDER_NAME="{name}" {told}>{inside}</{tag}>'


@pytest.mark.corpora
def test_control_m__card_demo__folders_jobs_conditions_and_order_as_counted_by_hand(corpora: Path) -> None:
    facts = read_control_m((corpora / "carddemo" / "CardDemo.controlm.xml").read_bytes(), "CardDemo.controlm.xml")
    kinds = Counter(node.kind for node in facts.nodes)
    assert kinds == {NodeKind.JOB_FOLDER: 5, NodeKind.JOB: 15, NodeKind.CONDITION: 11}
    edges = precedence(facts.nodes, facts.edges)
    assert len(edges) == 12
    assert sum(edge.properties["crosses_folders"] for edge in edges) == 1
    jobs = {node.id for node in facts.nodes if node.kind is NodeKind.JOB}
    assert all(edge.start in jobs and edge.end in jobs for edge in edges)
    assert awaited_in_vain(facts.edges) == set()
    assert all(outcome.outcome is Outcome.PARSED for outcome in facts.outcomes)
    assert len(facts.outcomes) == 15


def test_conditions__raised_and_awaited_on_one_day__give_an_order() -> None:
    facts = read(folder("F", job("A", raises("A-OK")) + job("B", awaits("A-OK") + raises("A-OK", "-"))))
    assert flow(facts) == {("A", "B")}


def test_conditions__cleared__are_no_dependency() -> None:
    facts = read(folder("F", job("A", raises("C", "DEL")) + job("B", awaits("C"))))
    assert flow(facts) == set()
    assert Counter(edge.kind for edge in facts.edges)[EdgeKind.CLEARS] == 1
    assert len(awaited_in_vain(facts.edges)) == 1


def test_conditions__previous_day__make_no_cycle_in_one_day() -> None:
    facts = read(
        folder("F", job("A", awaits("B-OK", "PREV") + raises("A-OK")) + job("B", awaits("A-OK") + raises("B-OK")))
    )
    assert flow(facts) == {("A", "B")}
    assert flow(facts, OTHER_DAY) == {("B", "A")}


def test_conditions__of_a_folder__gate_every_job_inside_and_come_from_its_last_jobs() -> None:
    first = folder("ONE", job("A", raises("AB")) + job("B", awaits("AB")) + raises("ONE-DONE"), "SMART_FOLDER")
    second = folder("TWO", awaits("ONE-DONE") + job("X") + folder("SUB", job("Y"), "SUB_FOLDER"), "SMART_FOLDER")
    assert flow(read(first + second)) == {("A", "B"), ("B", "X"), ("B", "Y")}


def test_conditions__a_job_raises_its_own_folders_gate__does_not_wait_for_itself() -> None:
    assert flow(read(folder("F", awaits("GO") + job("A", raises("GO")) + job("B")))) == set()


def test_conditions__all_joined_by_or__the_order_is_optional() -> None:
    facts = read(
        folder(
            "F",
            job("A", raises("A"))
            + job("B", raises("B"))
            + job("C", awaits("A", and_or="O") + awaits("B", and_or="OR")),
        )
    )
    edges = precedence(facts.nodes, facts.edges)
    assert len(edges) == 2
    assert all(edge.properties["optional"] for edge in edges)


def test_on_actions__condition_and_forced_job__are_edges() -> None:
    actions = '<DOCOND NAME="BAD" SIGN="+" ODATE="ODAT"/><DOFORCEJOB TABLE_NAME="G" NAME="MEND"/>'
    on = f'<ON STMT="*" CODE="NOTOK">{actions}</ON>'
    facts = read(folder("F", job("A", on) + job("B", awaits("BAD"))) + folder("G", job("MEND")))
    edges = {edge.role: edge for edge in precedence(facts.nodes, facts.edges)}
    assert flow(facts) == {("A", "B")}
    assert edges[""].properties["on"] == ["* NOTOK"]
    assert flow(facts, FORCES) == {("A", "MEND")}
    assert edges[FORCES].properties["crosses_folders"]


def test_variables__inner_scope_wins__even_when_the_folder_states_them_after_its_jobs() -> None:
    inside = (
        job("A", '<VARIABLE NAME="%%FILE" VALUE="a.sql"/>', CMDLINE="hive -f %%DIR./%%FILE %%$ODATE")
        + '<VARIABLE NAME="%%DIR" VALUE="/etl"/><VARIABLE NAME="%%FILE" VALUE="other.sql"/>'
        '<VARIABLE NAME="%%DB_PASSWORD" VALUE="hunter2"/>'
    )
    facts = read(folder("F", inside))
    assert node(facts, "A").properties["command"] == "hive -f /etl/a.sql %%$ODATE"
    assert node(facts, "F").properties["variables"]["DB_PASSWORD"] == "***"


def test_variables__that_refer_to_each_other__end() -> None:
    facts = read(
        folder(
            "F", job("A", '<VARIABLE NAME="%%A" VALUE="%%B%%B"/><VARIABLE NAME="%%B" VALUE="%%A%%A"/>', CMDLINE="%%A")
        )
    )
    assert len(node(facts, "A").properties["command"]) <= 4_000


def test_legacy_terms__scheduling_tables_and_autoedit__are_understood() -> None:
    body = (
        '<SCHED_TABLE TABLE_NAME="OLD"><JOB JOBNAME="A" MEMNAME="MEMB" MEMLIB="LIB" GROUP="G">'
        '<AUTOEDIT EXP="%%X=1"/><OUTCOND NAME="C" ODATE="ODAT" SIGN="ADD"/></JOB></SCHED_TABLE>'
        '<SCHED_GROUP TABLE_NAME="GROUPED"><JOB JOBNAME="B"><INCOND NAME="C" ODATE="ODAT"/></JOB></SCHED_GROUP>'
    )
    facts = read(body, "DEFTABLE")
    assert flow(facts) == {("A", "B")}
    assert node(facts, "A").properties["sub_application"] == "G"
    assert {n.name for n in facts.nodes if n.kind is NodeKind.JOB_FOLDER} == {"OLD", "GROUPED"}


def test_loose_jobs__defjob__belong_to_the_folder_that_they_name() -> None:
    facts = read(job("A", PARENT_FOLDER="F") + job("B", PARENT_FOLDER="F"), "DEFJOB")
    assert [n.qualified_name for n in facts.nodes if n.kind is not NodeKind.CONDITION] == ["F", "F/A", "F/B"]


def test_twins__two_jobs_of_one_name__are_two_jobs() -> None:
    facts = read(folder("F", job("A") + job("A"), DATACENTER="PROD"))
    assert {n.qualified_name for n in facts.nodes} == {"PROD:F", "PROD:F/A", "PROD:F/A#2"}


def test_nameless_condition__is_reported_not_swallowed() -> None:
    outcome = read(folder("F", job("A", '<INCOND ODATE="ODAT"/>'))).outcomes[0]
    assert outcome.outcome is Outcome.FALLBACK
    assert "without a NAME" in str(outcome.message)


def test_runs__command_path_or_member__find_their_file() -> None:
    facts = read(
        folder(
            "F",
            job("A", CMDLINE="hive -f /opt/etl/load.sql")
            + job("B", MEMNAME="CLOSEFIL")
            + job("C", CMDLINE="sh run.sh")
            + job("D", CMDLINE="hive -f nightly/load.sql"),
        )
    )
    files = {
        name: name for name in ("x/etl/load.sql", "x/nightly/load.sql", "x/jcl/CLOSEFIL.jcl", "a/run.sh", "b/run.sh")
    }
    names = {n.id: n.name for n in facts.nodes}
    found = {(names[edge.start], edge.end) for edge in runs([n for n in facts.nodes if n.kind is NodeKind.JOB], files)}
    assert found == {("A", "x/etl/load.sql"), ("B", "x/jcl/CLOSEFIL.jcl"), ("D", "x/nightly/load.sql")}


BOMB = (
    '<!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]>"
)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f'<?xml version="1.0"?>{BOMB}<DEFTABLE>&j;</DEFTABLE>'.encode(), "entities"),
        (f'<?xml version="1.0" encoding="utf-16"?>{BOMB}<DEFTABLE/>'.encode("utf-16"), "entities"),
        (
            b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><DEFTABLE><FOLDER FOLDER_NAME="&x;"/></DEFTABLE>',
            "ent",
        ),
        (b'<?xml version="1.0" encoding="cp037"?><DEFTABLE/>', "encoding"),
        (b'<DEFTABLE><FOLDER FOLDER_NAME="F"><JOB JOBNAME="A">', "not well-formed"),
        (b"<DEFTABLE>" + b"<SUB_FOLDER>" * 5_000, "not well-formed"),
        (b"", "not well-formed"),
        ("<DEFTABLE><FOLDER FOLDER_NAME='é'/></DEFTABLE>".encode("latin-1"), "not well-formed"),
    ],
    ids=[
        "billion laughs",
        "in utf-16",
        "external entity",
        "odd encoding",
        "truncated",
        "deep",
        "empty",
        "wrong encoding",
    ],
)
def test_hostile_xml__is_refused_with_its_place(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        read_control_m(data, "jobs.xml")
    assert not isinstance(refused.value, Unrecognised)


def test_external_dtd__is_not_fetched() -> None:
    data = b'<!DOCTYPE DEFTABLE SYSTEM "http://127.0.0.1:1/x.dtd"><DEFTABLE><FOLDER FOLDER_NAME="F"/></DEFTABLE>'
    assert [n.name for n in read_control_m(data, "jobs.xml").nodes] == ["F"]


def test_other_xml__is_left_aside() -> None:
    with pytest.raises(Unrecognised, match="project"):
        read_control_m(b"<project><FOLDER/></project>", "pom.xml")


def test_latin_1__declared__is_read() -> None:
    data = '<?xml version="1.0" encoding="ISO-8859-1"?><DEFTABLE><FOLDER FOLDER_NAME="é"/></DEFTABLE>'.encode("latin-1")
    assert read_control_m(data, "jobs.xml").nodes[0].name == "é"


def test_broadcast__too_many_pairs__gives_no_order_and_no_blow_up() -> None:
    many = "".join(job(f"P{i}", raises("C")) for i in range(600)) + "".join(
        job(f"C{i}", awaits("C")) for i in range(600)
    )
    facts = read(folder("F", many))
    assert precedence(facts.nodes, facts.edges) == []
    assert Counter(edge.kind for edge in facts.edges)[EdgeKind.AWAITS] == 600

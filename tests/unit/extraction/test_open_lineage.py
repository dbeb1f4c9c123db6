from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from unit.extraction.conftest import Estate

from bailiwick.errors import InvalidInput
from bailiwick.extraction.open_lineage import events, write_events


def test_events__each__carries_what_the_specification_requires(small_estate: Estate) -> None:
    for event in events(small_estate.extract(dry_run=True)):
        datetime.fromisoformat(event["eventTime"])
        assert event["producer"].startswith("https://")
        kind = event["schemaURL"].rpartition("/")[2]
        required = {"DatasetEvent": {"dataset"}, "JobEvent": {"job"}, "RunEvent": {"job", "run", "eventType"}}[kind]
        assert required <= set(event)
        datasets = [event["dataset"]] if "dataset" in event else event["inputs"] + event["outputs"]
        named = [*datasets, event["job"]] if "job" in event else datasets
        assert all(thing["namespace"] and thing["name"] for thing in named)
        for thing in named:
            for facet in thing["facets"].values():
                assert facet["_producer"]
                assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")
        if kind == "RunEvent":
            uuid.UUID(event["run"]["runId"])


def test_events__tables_carry_their_columns(small_estate: Estate) -> None:
    datasets = {
        e["dataset"]["name"]: e["dataset"] for e in events(small_estate.extract(dry_run=True)) if "dataset" in e
    }
    fields = datasets["crm.customer"]["facets"]["schema"]["fields"]
    assert fields == [{"name": "id", "type": "int"}, {"name": "name", "type": "string"}]


def test_events__statement__says_where_each_column_comes_from(small_estate: Estate) -> None:
    moved = [e for e in events(small_estate.extract(dry_run=True)) if e.get("outputs")]
    (event,) = moved
    assert [d["name"] for d in event["inputs"]] == ["crm.customer"]
    (output,) = event["outputs"]
    lineage = output["facets"]["columnLineage"]["fields"]
    assert lineage["name"]["inputFields"][0]["field"] == "name"
    assert lineage["name"]["inputFields"][0]["name"] == "crm.customer"
    assert lineage["id"]["inputFields"][0]["transformations"][0]["subtype"] == "IDENTITY"
    assert "INSERT" in event["job"]["facets"]["sql"]["query"]


def test_write__one_json_object_per_line(small_estate: Estate, tmp_path: Path) -> None:
    report = small_estate.extract(dry_run=True)
    count = write_events(tmp_path / "events.jsonl", report)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert len(lines) == count == len([json.loads(line) for line in lines])
    with pytest.raises(InvalidInput, match="OpenLineage"):
        write_events(tmp_path / "absent" / "events.jsonl", report)

from __future__ import annotations

import json

from lxml import etree

from bailiwick.graph.export import export
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id

SEEN = Provenance("a<b>.sql", 1, "sql", "run-1", 0.5)
A = Node(node_id(NodeKind.TABLE, 'a"&<x>'), NodeKind.TABLE, "a", 'a"&<x>', "s", SEEN, {"comment": "\x01 ✓", "n": 1})
B = Node(node_id(NodeKind.TABLE, "b"), NodeKind.TABLE, "b", "b", "s", SEEN)
AB = Edge(edge_id(EdgeKind.DERIVES, A.id, B.id), EdgeKind.DERIVES, A.id, B.id, "s", SEEN, "\x02role")


def test_export__json__is_node_link_data() -> None:
    found = json.loads("".join(export([A, B], [AB], "json")))

    assert [node["qualified_name"] for node in found["nodes"]] == ['a"&<x>', "b"]
    assert found["nodes"][0]["properties"] == {"comment": "\x01 ✓", "n": 1}
    link = found["links"][0]
    assert (link["source"], link["target"], link["owner"], link["kind"]) == (A.id, B.id, "s", "derives")


def test_export__graphml__is_well_formed_whatever_the_names() -> None:
    tree = etree.fromstring("".join(export([A, B], [AB], "graphml")).encode())
    space = {"g": "http://graphml.graphdrawing.org/xmlns"}

    assert tree.xpath("//g:node/@id", namespaces=space) == [A.id, B.id]
    assert tree.xpath("//g:edge/@source", namespaces=space) == [A.id]
    assert tree.xpath(f"//g:node[@id='{A.id}']/g:data[@key='node_qualified_name']/text()", namespaces=space) == [
        'a"&<x>'
    ]
    keys = set(tree.xpath("//g:key/@id", namespaces=space))
    assert keys >= set(tree.xpath("//g:data/@key", namespaces=space))


def test_export__empty_graph__is_valid() -> None:
    assert json.loads("".join(export([], [], "json")))["nodes"] == []
    etree.fromstring("".join(export([], [], "graphml")).encode())

"""The reader of OpenAPI documents: every operation of a document is found, with a path that reaches it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.contract.fuzzing import read_document
from harness.contract.openapi import Operation, operations, self_contained, server_path
from harness.core.errors import HarnessError
from harness.core.verdict import Verdict

GET: dict[str, Any] = {"get": {"responses": {"200": {}}}}
INTEGER = {"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}}


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, **more}


def one(paths: dict[str, Any], **more: Any) -> Operation:
    (found,) = operations(document(paths, **more))
    return found


def test_operations_know_security_and_samples() -> None:
    """Security of the document or the operation, references, and path parameters of the right type."""
    parameters = [{"name": "kind", "in": "path", "schema": {"$ref": "#/components/schemas/Kind"}}]
    item = {
        "parameters": parameters,
        "get": {"parameters": [{"name": "n", "in": "path", "schema": {"type": "integer", "minimum": 7}}], "responses": {"200": {}}},
        "post": {"security": [], "requestBody": {"content": {"application/json; charset=utf-8": {}}}},
    }
    get, post = operations(document({"/k/{kind}/{n}": item}, security=[{"key": []}], components={"schemas": {"Kind": {"enum": ["a/b"]}}}))
    assert (get.label, get.url_path, get.secured) == ("GET /k/{kind}/{n}", "/k/a%2Fb/7", True)
    assert (post.secured, post.takes_json) == (False, True)


@pytest.mark.parametrize(
    ("servers", "base"),
    [
        ([{"url": "/api"}], "/api"),
        ([{"url": "/"}], ""),
        ([{"url": "/v1/"}, {"url": "/v2"}], "/v1"),
        ([{"url": "https://api.example.org/shop/v3"}], "/shop/v3"),
        ([{"url": "https://api.example.org"}], ""),
        ([{"url": "//example.org/x"}], "/x"),
        ([{"url": "/{area}/v{n}", "variables": {"area": {"default": "eu"}, "n": {"enum": ["4"], "default": "4"}}}], "/eu/v4"),
        ([{"url": "/{nobody}/v1"}], "/x/v1"),
        ([{"url": "v2"}], "/docs/v2"),
        ([{"url": "../v2"}], "/v2"),
        ([], ""),
    ],
)
def test_the_path_of_the_first_server_stands_before_every_request(servers: list[Any], base: str) -> None:
    """Absolute, relative and templated addresses of a server: only their path counts, the machine is the target."""
    (found,) = operations(document({"/notes": GET}, servers=servers), "/docs/openapi.json")
    assert (found.path, found.url_path) == ("/notes", f"{base}/notes")


def test_the_nearest_server_wins() -> None:
    """The operation's server goes before its path item's, that before the document's."""
    paths = {
        "/a": {"servers": [{"url": "/item"}], "get": {"servers": [{"url": "/own"}]}, "put": {}},
        "/b": {"get": {}},
    }
    found = operations(document(paths, servers=[{"url": "/all"}]))
    assert [operation.url_path for operation in found] == ["/own/a", "/item/a", "/all/b"]
    assert server_path({"openapi": "3.1.0"}) is None


@pytest.mark.parametrize(
    "components",
    [
        {"pathItems": {"note": GET}},
        {"pathItems": {"note": {"$ref": "#/components/pathItems/other"}, "other": GET}},
        {"pathItems": {"note": {"x-more": 1, "summary": "one", **GET}}},
    ],
)
def test_a_path_item_by_reference_has_its_operations(components: dict[str, Any]) -> None:
    """A path item that is a ``$ref``, also over two steps and with fields beside it, loses nothing."""
    paths = {"/notes/{n}": {"$ref": "#/components/pathItems/note", "parameters": [INTEGER]}}
    assert one(paths, components=components).url_path == "/notes/1"


def test_a_reference_may_lead_through_lists_escapes_and_numbers() -> None:
    """``~1``, percent signs, positions of a list and keys that YAML read as numbers."""
    paths = {
        "/a/{n}": {"get": {"parameters": [INTEGER], "responses": {200: {}}}},
        "/b/{n}": {"get": {"parameters": [{"$ref": "#/paths/~1a~1%7Bn%7D/get/parameters/0"}]}},
        "/c": {"$ref": "#/x-kept/7"},
    }
    found = operations(document(paths, **{"x-kept": {7: GET}}))
    assert [operation.url_path for operation in found] == ["/a/1", "/b/1", "/c"]


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        ({"type": ["integer"]}, "1"),
        ({"type": ["null", "integer"], "minimum": 5}, "5"),
        ({"type": ["string", "null"], "minLength": 3}, "xxx"),
        ({"type": "integer", "exclusiveMinimum": 9}, "10"),
        ({"type": "integer", "minimum": 9, "exclusiveMinimum": True}, "10"),
        ({"type": "integer", "maximum": -4}, "-4"),
        ({"type": "number"}, "1"),
        ({"type": "boolean"}, "true"),
        ({"type": "array", "items": {"type": "integer"}}, "1"),
        ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000001"),
        ({"type": "string", "format": "date"}, "2024-01-31"),
        ({"const": "one"}, "one"),
        ({"enum": [None, "b"]}, "b"),
        ({"type": "string", "default": "en"}, "en"),
        ({"type": "string", "examples": ["de"]}, "de"),
        ({"allOf": [{"type": "integer"}, {"minimum": 4}]}, "4"),
        ({"oneOf": [{"$ref": "#/components/schemas/N"}, {"type": "string"}]}, "12"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "x"),
        ({"$ref": "other.yaml#/N"}, "x"),
        ({}, "x"),
        (True, "x"),
    ],
)
def test_a_path_parameter_gets_a_value_of_its_type(schema: Any, sample: str) -> None:
    """Types as text or list, bounds of both forms, constants, examples, compositions, and schemas that say nothing."""
    parameter = {"name": "n", "in": "path", "schema": schema}
    found = one({"/{n}": {"get": {"parameters": [parameter]}}}, components={"schemas": {"N": {"type": "integer", "minimum": 12}}})
    assert found.url_path == f"/{sample}"


@pytest.mark.parametrize(
    "parameter",
    [
        {"example": 42, "schema": {"type": "integer"}},
        {"examples": {"first": {"value": 42}}},
        {"content": {"application/json": {"schema": {"const": 42}}}},
        {"schema": {"type": "object", "default": 42}},
    ],
)
def test_a_parameter_s_own_example_goes_first(parameter: dict[str, Any]) -> None:
    """Example, examples, content and default of a path parameter."""
    assert one({"/{n}": {"get": {"parameters": [{"name": "n", "in": "path", **parameter}]}}}).url_path == "/42"


def test_an_operation_s_parameter_replaces_its_path_item_s() -> None:
    """Same name and place: the operation's counts; same name in the query: another parameter."""
    item = {"parameters": [INTEGER], "get": {"parameters": [{"name": "n", "in": "path", "example": "a"}, {"name": "n", "in": "query"}]}}
    assert one({"/{n}": item}).url_path == "/a"


def test_extension_keys_are_passed_over() -> None:
    """``x-`` keys of text, lists and mappings beside paths, methods and parameters are no operations and break nothing."""
    paths = {
        "x-note": "get started here",
        "x-list": [1],
        "x-map": GET,
        "/a": {**GET, "x-rate": {"get": 5}, "summary": "x", "description": "get", "parameters": ["x"]},
    }
    assert [operation.label for operation in operations(document(paths))] == ["GET /a"]


@pytest.mark.parametrize("paths", [None, {}])
def test_a_document_of_webhooks_has_no_operation(paths: Any) -> None:
    """OpenAPI 3.1 may have no paths: nothing is found, nothing breaks."""
    assert operations({"openapi": "3.1.0", "paths": paths, "webhooks": {"sold": GET}}) == ()


def test_every_method_is_found() -> None:
    """The nine of the specification, and those of other names that OpenAPI 3.2 allows."""
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
    found = operations(document({"/a": {**{method: {} for method in methods}, "additionalOperations": {"COPY": {}}}}))
    assert {operation.method for operation in found} == {*(method.upper() for method in methods), "COPY"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"swagger": "2.0", "paths": {}}, "Swagger 2.0"),
        ({"paths": {}}, "no OpenAPI 3 document"),
        ([], "no OpenAPI 3 document"),
        ({"openapi": "3.0.0", "paths": ["/a"]}, "no mapping"),
        (document({"/a": "get"}), "the path /a"),
        (document({"/a": {"$ref": "other.yaml#/a"}}), "the path /a of the OpenAPI document is 'other.yaml#/a'"),
        (document({"/a": {"$ref": "#/nowhere"}}), "serve it as one document"),
        (document({"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}), "leads in a circle"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(given: Any, said: str) -> None:
    """Older versions, other kinds of files, paths that lie elsewhere or lead in a circle."""
    with pytest.raises(HarnessError, match=said):
        operations(given)


def test_what_a_fuzzer_reads_stands_by_itself() -> None:
    """Path items by reference and composed path parameters are written out; a document without any is given as it is."""
    plain = document({"/a/{n}": {"get": {"parameters": [INTEGER], "responses": {}}}})
    assert self_contained(plain) is plain
    parameter = {"name": "n", "in": "path", "schema": {"allOf": [{"$ref": "#/components/schemas/N"}, {"minimum": 3}]}}
    items = {"one": {"$ref": "#/components/pathItems/two"}, "two": {"parameters": [parameter], **GET}}
    given = document(
        {"/a/{n}": {"$ref": "#/components/pathItems/one"}}, components={"pathItems": items, "schemas": {"N": {"type": "integer"}}}
    )
    written = self_contained(given)["paths"]["/a/{n}"]
    assert written["parameters"][0]["schema"] == {"type": "integer", "minimum": 3}
    assert written["get"] == GET["get"]
    assert given["paths"]["/a/{n}"] == {"$ref": "#/components/pathItems/one"}


def test_json_and_yaml_are_read() -> None:
    """A document in either form gives the same; what is neither is refused."""
    text = "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {description: yes}\n"
    assert operations(read_document(text.encode())) == operations(read_document(json.dumps(document({"/a": GET})).encode()))
    for bad in (b"- 1\n", b"\xff\xfe", b"a: [", b"7"):
        with pytest.raises(ValueError, match=r"."):
            read_document(bad)


HANDLER = "\n\nclass Handler"
SERVICES = {
    "a server with a path": (
        'SCHEMA["servers"] = [{"url": "/api"}]\nSCHEMA["paths"].pop("/health")\n'
        'ROUTES = [(re.compile("/api" + p.replace("{id}", "([^/]+)")), e) for p, e in SCHEMA["paths"].items()]'
    ),
    "a server of another machine": 'SCHEMA["servers"] = [{"url": "https://api.example.org"}]',
    "a path item by reference": (
        'SCHEMA["components"]["pathItems"] = {"note": SCHEMA["paths"]["/notes/{id}"]}\n'
        'SCHEMA["paths"]["/notes/{id}"] = {"$ref": "#/components/pathItems/note"}'
    ),
    "a path item by two references": (
        'SCHEMA["components"]["pathItems"] = {"note": SCHEMA["paths"]["/notes/{id}"], "alias": {"$ref": "#/components/pathItems/note"}}\n'
        'SCHEMA["paths"]["/notes/{id}"] = {"$ref": "#/components/pathItems/alias"}'
    ),
    "a composed path parameter": (
        'SCHEMA["components"]["schemas"] = {"Key": {"$ref": "#/components/schemas/Whole"}, "Whole": {"type": "integer"}}\n'
        'ID["schema"] = {"allOf": [{"$ref": "#/components/schemas/Key"}, {"minimum": 1}, {"maximum": 10**9}]}'
    ),
    "a type as a list": 'ID["schema"]["type"] = ["integer"]',
    "extension keys": 'SCHEMA["paths"]["x-note"] = "get and post"\nSCHEMA["paths"]["/notes"]["get"]["x-order"] = 7',
}


CASES = [
    *(("api_manners", name) for name in SERVICES),
    *(("schemathesis", name) for name in SERVICES if "server" in name or "two" in name or "composed" in name),
]


@pytest.mark.parametrize(("driver", "name"), CASES)
def test_a_right_service_passes_whatever_its_document_looks_like(
    service: Callable[..., str], judge: Callable[..., Any], name: str, driver: str
) -> None:
    """The example service under another form of its document: every operation is asked, and nothing is wrong."""
    judged = judge(service(HANDLER, f"\n{SERVICES[name]}\n{HANDLER}"), driver)
    assert judged.verdict is Verdict.PASS, [row for row in judged.rows if row.verdict is not Verdict.PASS]
    if driver == "api_manners":
        assert judged.row("no_key").value == "3 of 3 right"
        assert judged.row("unknown_path").value == "1 of 1 right"

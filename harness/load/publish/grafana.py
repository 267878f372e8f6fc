"""Annotations in Grafana, through its old API and the one that Grafana 13 puts in its place, behind one Protocol.

``/api/annotations``: a region is posted at its start and its end is PATCHed.
``/apis/annotation.grafana.app``: the time of an annotation cannot be changed there: an update of ``timeEnd`` is answered 200 and ignored.
So a moment is posted at the start; at the end the region is posted, and the moment deleted.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Protocol

from harness.load.publish.sending import NotSent, Sender
from harness.load.publish.settings import GrafanaTable

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
GROUP = "annotation.grafana.app/v0alpha1"
NAME_PREFIX = "eh-"


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """A stretch of time in epoch milliseconds; without ``end_ms`` it goes on."""

    text: str
    start_ms: int
    tags: tuple[str, ...]
    end_ms: int | None = None


class AnnotationApi(Protocol):
    """What the harness wants of Grafana. Every method raises ``NotSent`` and nothing else."""

    def open(self, annotation: Annotation) -> str:
        """Show it from now on; the handle to end it with."""

    def finish(self, handle: str, annotation: Annotation) -> None:
        """Give it the end that it has now, with its text and tags."""

    def close(self) -> None:
        """Nothing more is sent."""


class LegacyApi:
    """``/api/annotations``: every Grafana since 6.4."""

    def __init__(self, sender: Sender, table: GrafanaTable) -> None:
        self._sender, self._table = sender, table

    def open(self, annotation: Annotation) -> str:
        body: dict[str, Any] = {
            "time": annotation.start_ms,
            "timeEnd": annotation.start_ms if annotation.end_ms is None else annotation.end_ms,
            "tags": list(annotation.tags),
            "text": annotation.text,
        }
        if self._table.dashboard_uid:
            body["dashboardUID"] = self._table.dashboard_uid
        if self._table.panel_id:
            body["panelId"] = self._table.panel_id
        answer = _object(self._sender.send("POST", "/api/annotations", _encoded(body), JSON))
        handle = answer.get("id")
        if not isinstance(handle, int) or isinstance(handle, bool):
            raise NotSent("the answer holds no id: is this Grafana?")
        return str(handle)

    def finish(self, handle: str, annotation: Annotation) -> None:
        body = {"timeEnd": annotation.end_ms, "tags": list(annotation.tags), "text": annotation.text}
        self._sender.send("PATCH", f"/api/annotations/{int(handle)}", _encoded(body), JSON)

    def close(self) -> None:
        self._sender.close()


class AppsApi:
    """``/apis/annotation.grafana.app/v0alpha1``: resources in the manner of Kubernetes."""

    def __init__(self, sender: Sender, table: GrafanaTable) -> None:
        self._sender, self._table = sender, table
        self._path = f"/apis/{GROUP}/namespaces/{table.namespace}/annotations"

    def open(self, annotation: Annotation) -> str:
        spec: dict[str, Any] = {"text": annotation.text, "time": annotation.start_ms, "tags": list(annotation.tags)}
        if annotation.end_ms is not None:
            spec["timeEnd"] = annotation.end_ms
        if self._table.dashboard_uid:
            spec["dashboardUID"] = self._table.dashboard_uid
        if self._table.panel_id:
            spec["panelID"] = self._table.panel_id
        body = {"apiVersion": GROUP, "kind": "Annotation", "metadata": {"generateName": NAME_PREFIX}, "spec": spec}
        metadata = _object(self._sender.send("POST", self._path, _encoded(body), JSON)).get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str) or not name.replace("-", "").isalnum():
            raise NotSent("the answer names no annotation: is this Grafana 12 or newer with annotation.grafana.app?")
        return name

    def finish(self, handle: str, annotation: Annotation) -> None:
        self.open(annotation)  # first the region: if the deletion fails, too much is shown and nothing is lost
        self._sender.send("DELETE", f"{self._path}/{handle}", b"", JSON)

    def close(self) -> None:
        self._sender.close()


def annotation_api(sender: Sender, table: GrafanaTable) -> AnnotationApi:
    """The API that the table asks for."""
    return AppsApi(sender, table) if table.api == "apis" else LegacyApi(sender, table)


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotSent("the answer is no JSON object: is this Grafana?")
    return found

# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document, written from the routes and the schemas that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nova_multi.api.handlers.base import Route
from nova_multi.api.negotiation import JSON
from nova_multi.api.schemas import base
from nova_multi.api.schemas.file import UPLOADS

VERSION = "1.0"
_TEMPLATE = "#/components/schemas/{model}"
_IN_BRACES = re.compile(r"\{(\w+)\}")
_PATH_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
_NAMES = {
    "name": "Name or UUID.",
    "hostname": "Name of a host.",
    "uuid": "UUID of a task.",
    "status": "Status of tasks.",
}

Part = dict[str, Any]


def document(routes: Iterable[Route]) -> Part:
    """The whole document; spellings that are kept for VirtShell's sake are left out."""
    shown = [route for route in routes if not route.hidden]
    references, definitions = base.json_schemas(_models(shown), _TEMPLATE)
    paths: Part = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, references
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Provisioning",
            "version": VERSION,
            "description": (
                "Partitions, environments, images, provisioners and instances on"
                " OpenStack. Every path is also taken below /api/virtshell/v1,"
                " /virtshell/api/v1, /api/virtsh/v1 and without a prefix, with and"
                " without a slash at its end."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v1"}],
        "security": [{"token": []}, {"signature": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-VirtShell-Authorization",
                    "description": "UserId:Signature, where the operator allows it.",
                },
            },
        },
    }


def _models(routes: Iterable[Route]) -> Any:
    models: dict[tuple[Any, str], None] = {
        (base.Accepted, "serialization"): None,
        (base.Done, "serialization"): None,
        (base.Error, "serialization"): None,
    }
    for route in routes:
        models[(route.body, "validation")] = None
        models[(route.query, "validation")] = None
        if route.answer:
            models[(route.answer, "serialization")] = None
    return list(models)


def _operation(route: Route, references: Any) -> Part:
    query = route.query.model_json_schema(schema_generator=base.DocumentSchema)
    operation: Part = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [
            *(_in_path(name) for name in _IN_BRACES.findall(route.path)),
            *(
                {"name": name, "in": "query", "schema": schema}
                for name, schema in query.get("properties", {}).items()
            ),
        ],
        "responses": _responses(route, references),
    }
    if route.policy is None:
        operation["security"] = []
    else:
        operation["description"] = f"Policy: ``{route.policy}``."
    if route.multipart:
        operation["requestBody"] = _form(route, references)
    elif route.body is not base.Nothing and route.method != "GET":
        schema = references[route.body, "validation"]
        operation["requestBody"] = {
            "required": any(
                field.is_required() for field in route.body.model_fields.values()
            ),
            "content": {JSON: {"schema": schema}},
        }
        if route.form_too:
            form = _form(route, references)
            operation["requestBody"]["content"] |= form["content"]
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])


def _in_path(name: str) -> Part:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _NAMES[name],
        "schema": _PATH_TEXT,
    }


def _form(route: Route, references: Any) -> Part:
    """A form: the schema's fields and the content."""
    fields = route.body.model_json_schema(schema_generator=base.DocumentSchema)
    content = {"type": "string", "contentMediaType": "application/octet-stream"}
    properties = {**fields["properties"], **dict.fromkeys(UPLOADS, content)}
    schema: Part = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if route.method == "POST":
        schema["oneOf"] = [{"required": [name]} for name in UPLOADS]
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _responses(route: Route, references: Any) -> Part:
    def answer(description: str, model: Any) -> Part:
        schema = references[model, "serialization"]
        return {"description": description, "content": {JSON: {"schema": schema}}}

    found: Part = {}
    if route.answer and route.plural:
        item = references[route.answer, "serialization"]
        listed = answer("A page of the list", route.answer)
        listed["content"][JSON]["schema"] = {
            "type": "object",
            "properties": {route.plural: {"type": "array", "items": item}},
            "required": [route.plural],
        }
        listed["headers"] = {
            "Link": {
                "description": 'Address of the next page, with rel="next".',
                "schema": {"type": "string"},
            }
        }
        found["200"] = listed
    elif route.answer:
        found[str(route.status)] = answer("Done", route.answer)
    elif route.verb:
        found["200"] = answer("Done", base.Done)
    if route.accepts:
        found["202"] = answer("Accepted; a task goes on", base.Accepted)
        found["202"]["headers"] = {
            "Location": {
                "description": "Address of the task.",
                "schema": {"type": "string"},
            }
        }
    found["406"] = {"description": "JSON is not accepted; the body is empty"}
    if route.path == "/healthcheck":
        found["503"] = answer("Something is missing", route.answer)
    found["default"] = answer("An error", base.Error)
    return found

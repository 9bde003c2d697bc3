"""The OpenAPI 3.1 document of the /v1 API."""

from typing import Any

from hushbell.api.v1.requests import (
    EVENTS,
    MAX_HEADERS,
    MAX_NAME,
    MAX_RETRIES,
    MAX_TOKEN,
    MAX_TOKENS,
    MAX_TTL,
    MAX_URL,
    SHAPES,
)
from hushbell.config.settings import Settings
from hushbell.core.delivery.state import LABELS

Schema = dict[str, Any]


def document(settings: Settings, version: str) -> Schema:
    """Return it, with the bounds of these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hushbell gateway",
            "version": version,
            "description": "202 means: on the disk. Each push is attempted until its time to live ends, under the same "
            "id, and ends in exactly one final state.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}] if settings.keys else [],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(settings.gateway.notifications),
            "responses": {"problem": _problem("What went wrong; `field` names what it is about.")},
        },
    }


def _paths() -> Schema:
    ident = {"name": "ident", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{24}$"}}
    app = _query("app", {"type": "string"}, "The key's first app if left out.")
    return {
        "/v1/openapi.json": {"get": {"operationId": "document", "security": [], "responses": {"200": _json({})}}},
        "/v1/notifications": {
            "post": {
                "operationId": "send",
                "summary": "Accept notifications, all or none of them (scope send).",
                "parameters": [
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                        "description": "The same key and body get the same response again; nothing is sent twice.",
                    }
                ],
                "requestBody": _body("Send"),
                "responses": {"202": _json(_ref("Accepted")), **_problems(400, 401, 403, 409, 413, 422, 429, 503)},
            }
        },
        "/v1/notifications/{ident}": {
            "get": {
                "operationId": "state",
                "summary": "What became of a notification (scope read).",
                "parameters": [ident, _query("tokens", {"enum": ["true", "false"]}, "Needs the scope tokens.")],
                "responses": {"200": _json(_ref("Notification")), **_problems(400, 401, 403, 404, 503)},
            }
        },
        "/v1/dead-tokens": {
            "get": {
                "operationId": "deadTokens",
                "summary": "Tokens that their providers no longer know (scope read; in the clear with scope tokens).",
                "parameters": [
                    app,
                    _query("since", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "The cursor of the last response."),
                    _query("limit", {"type": "integer", "minimum": 0, "maximum": 1000, "default": 100}, ""),
                ],
                "responses": {"200": _json(_ref("DeadTokens")), **_problems(400, 401, 403, 503)},
            }
        },
        "/v1/webhooks": {
            "get": {
                "operationId": "webhooks",
                "summary": "The webhooks of an app (scope webhooks).",
                "parameters": [app],
                "responses": {"200": _json(_ref("Webhooks")), **_problems(400, 401, 403, 503)},
            },
            "post": {
                "operationId": "subscribe",
                "summary": "Post final states to a MAX_URL. The secret is in this response alone (scope webhooks).",
                "requestBody": _body("NewWebhook"),
                "responses": {"201": _json(_ref("CreatedWebhook")), **_problems(400, 401, 403, 413, 422, 503)},
            },
        },
        "/v1/webhooks/{name}": {
            "delete": {
                "operationId": "unsubscribe",
                "summary": "Erase a webhook and the events that wait for it (scope webhooks).",
                "parameters": [name],
                "responses": {"204": {"description": "forgotten"}, **_problems(400, 401, 403, 404, 503)},
            }
        },
    }


def _schemas(max_notifications: int) -> Schema:
    time = {"type": "integer", "description": "Unix time in milliseconds"}
    state = {"enum": list(LABELS)}
    text = {"type": "string"}
    return {
        "Send": _object(
            {
                "app": {"type": "string", "maxLength": 64},
                "notifications": _list(_ref("NewNotification"), max_notifications),
            },
            ["notifications"],
        ),
        "NewNotification": _new_notification(),
        "Message": _message(),
        "Accepted": _object(
            {
                "app": text,
                "notifications": _list(
                    _object({"id": text, "pushes": {"type": "integer"}, "name": text}, ["id", "pushes"]),
                    max_notifications,
                ),
            },
            ["app", "notifications"],
        ),
        "Notification": _object(
            {
                "id": text,
                "name": text,
                "app": text,
                "state": state,
                "accepted_at": time,
                "expires_at": time,
                "ended_at": time,
                "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                "pushes": _list(_ref("Push"), MAX_TOKENS),
            },
            ["id", "app", "state", "accepted_at", "counts", "pushes"],
        ),
        "Push": _object(
            {
                "id": {"type": "string", "format": "uuid"},
                "place": {"type": "integer"},
                "state": state,
                "attempts": {"type": "integer"},
                "reason": text,
                "token": text,
            },
            ["id", "place", "state", "attempts"],
        ),
        "DeadTokens": _object(
            {"tokens": _list(_ref("DeadToken"), 1000, min_items=0), "cursor": text, "more": {"type": "boolean"}},
            ["tokens", "cursor", "more"],
        ),
        "DeadToken": _object(
            {
                "token": text,
                "provider": text,
                "reason": text,
                "since": {"type": ["integer", "null"], "description": "Unix time in milliseconds"},
                "at": time,
            },
            ["token", "provider", "reason", "since", "at"],
        ),
        "NewWebhook": _object(_webhook() | {"app": {"type": "string", "maxLength": 64}}, ["url"]),
        "Webhook": _object(_webhook() | {"name": text, "app": text}, ["name", "app", "url", "events", "shape"]),
        "CreatedWebhook": _object(
            _webhook() | {"name": text, "app": text, "secret": text},
            ["name", "app", "url", "events", "shape", "secret"],
        ),
        "Webhooks": _object({"webhooks": _list(_ref("Webhook"), 16, min_items=0)}, ["webhooks"]),
        "Problem": {
            "type": "object",
            "properties": {
                "type": text,
                "title": text,
                "status": {"type": "integer"},
                "detail": text,
                "field": {"type": "string", "description": "path of the field it is about"},
            },
            "required": ["type", "title", "status"],
        },
    }


def _new_notification() -> Schema:
    one = {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN}
    return _object(
        {
            "provider": {"type": "string", "minLength": 1, "maxLength": 64},
            "tokens": _list(one, MAX_TOKENS),
            "topic": one,
            "condition": one,
            "message": _ref("Message"),
            "payload": {"type": "object", "description": "as the provider documents it"},
            "text": {"type": "string"},
            "binary": {"type": "string", "description": "base64"},
            "headers": {"type": "object", "maxProperties": MAX_HEADERS, "additionalProperties": {"type": "string"}},
            "route": {"type": "string", "maxLength": 64, "description": "apns: production or development"},
            "ttl": {"type": "integer", "minimum": 0, "maximum": MAX_TTL, "description": "seconds"},
            "retries": {"type": "integer", "minimum": 0, "maximum": MAX_RETRIES},
            "id": {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "description": "the caller's own"},
        },
        ["provider"],
    ) | {"description": "Exactly one of tokens, topic and condition; exactly one of message, payload, text and binary."}


def _message() -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": 4096}
    words = dict.fromkeys(("title", "body", "image", "sound", "category", "thread", "collapse_key"), text)
    return _object(
        {
            **words,
            "data": {"type": "object"},
            "badge": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            "priority": {"enum": ["normal", "high"]},
        },
        [],
    )


def _webhook() -> Schema:
    return {
        "url": {"type": "string", "minLength": 1, "maxLength": MAX_URL, "pattern": "^https?://"},
        "events": _list({"enum": list(EVENTS)}, len(EVENTS)),
        "shape": {"enum": list(SHAPES), "description": "tokens: with device tokens, needs that scope"},
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(items: Schema, max_items: int, *, min_items: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": min_items, "maxItems": max_items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _body(name: str) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}


def _json(schema: Schema) -> Schema:
    return {"description": "done", "content": {"application/json": {"schema": schema}}}


def _problem(description: str) -> Schema:
    return {"description": description, "content": {"application/problem+json": {"schema": _ref("Problem")}}}


def _problems(*statuses: int) -> Schema:
    return {str(status): {"$ref": "#/components/responses/problem"} for status in statuses}

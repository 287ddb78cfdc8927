import json
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings

SNAPSHOT = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(host="127.0.0.1", api_keys_file=None)).openapi()


def test_the_committed_snapshot_is_this_one(document: dict[str, Any]) -> None:
    assert json.loads(SNAPSHOT.read_text()) == document, "run: python -m service openapi > docs/openapi.json"


def test_every_operation_is_described_and_refuses_with_problems(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["tags"], (method, path)
            for status, response in operation["responses"].items():
                if status >= "400" and "/health/" not in path:
                    assert "application/problem+json" in response["content"], (method, path, status)


def test_no_reference_dangles(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    used = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= set(schemas)
    assert "HTTPValidationError" not in text

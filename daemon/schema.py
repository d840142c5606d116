"""Writes the published JSON Schema of a request: `python -m daemon.schema`."""

import json
from pathlib import Path

from daemon.request import Request

SCHEMA_FILE = Path(__file__).with_name("request.schema.json")


def schema() -> str:
    """The schema of a request message, generated from the model that checks it."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Request.model_json_schema(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema())

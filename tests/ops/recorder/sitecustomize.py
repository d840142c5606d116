"""Writes down every AWS call of the process that finds this on its path.

One line for each: service, operation and parameters, in a file below RECORD_CALLS that is named
after the process and what it is (RECORD_AS). It listens to botocore's events: aiobotocore has them.
"""

import json
import os
from pathlib import Path
from typing import Any

import botocore.session

FILE = (
    Path(os.environ["RECORD_CALLS"]) / f"{os.environ.get('RECORD_AS', 'job')}-{os.getpid()}.jsonl"
)

_made = botocore.session.Session.__init__


def _record(params: dict[str, Any], model: Any, **_: object) -> None:
    named = {key: value for key, value in params.items() if isinstance(value, (str, list))}
    line = [model.service_model.service_name, model.name, named]
    with FILE.open("a") as file:
        file.write(json.dumps(line, default=str) + "\n")


def _init(self: botocore.session.Session, *args: Any, **kwargs: Any) -> None:
    _made(self, *args, **kwargs)
    self.register("before-parameter-build", _record)


botocore.session.Session.__init__ = _init

# SPDX-License-Identifier: Apache-2.0
"""The form of a file as JSON Schema, for editors.

Made from the loader's own tables; the file beside this module is made, and to be made
again, by ``python -m nova_multi.spec.schema``.
"""

from __future__ import annotations

import json
import pathlib

from nova_multi.spec import document, inputs, kinds, machines
from nova_multi.spec.kinds import Schema

#: Where it is kept, in the package as well as in a checkout.
PATH = pathlib.Path(__file__).with_name("environment.schema.json")

#: The tables of each section.
SECTIONS = {
    "inputs": inputs.TABLE,
    "networks": document.NETWORK,
    "images": document.IMAGE,
    "provisioners": machines.PROVISIONER,
    "instances": machines.INSTANCE,
}


def schema() -> Schema:
    """JSON Schema, draft 2020-12, of a whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An environment of nova_multi",
        "description": "What is to stand in an environment.",
        **document.FILE.schema(),
        "$defs": {
            "input": kinds.INPUT_SCHEMA,
            **{name: table.schema() for name, table in SECTIONS.items()},
        },
    }


def text() -> str:
    """The same as it is kept."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

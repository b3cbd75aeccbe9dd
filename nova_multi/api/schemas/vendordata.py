# SPDX-License-Identifier: Apache-2.0
"""Nova's request for a guest's dynamic vendordata."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from nova_multi.api.schemas.base import Body

_ID = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")
]


class VendordataRequest(Body):
    """The server, as Nova describes it.

    Nova sends more, such as its metadata and user-data. That is its owner's to choose,
    so it proves nothing, and is not looked at.
    """

    model_config = ConfigDict(extra="ignore")

    instance_id: _ID = Field(alias="instance-id")
    project_id: _ID = Field(alias="project-id")

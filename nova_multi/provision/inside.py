# SPDX-License-Identifier: Apache-2.0
"""URLs that name this service itself: its files, which no request is sent for.

A request to ourselves would be nobody's. So a file is looked up with what its caller
may see, and its content is read where it is kept.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable

from nova_multi.domain.errors import Invalid
from nova_multi.provision.fetch import PORTS, parsed
from nova_multi.provision.service import Scope

#: Behind whichever prefix of the routes: a file, or its content.
_FILE = re.compile(r"(?:/[a-z0-9]+)*?/files?/([^/]+)/?")

Named = tuple[str, Scope]


def file_named(url: str, endpoints: Iterable[str]) -> Named | None:
    """Name of the file that a URL means, and where to look for it.

    :param endpoints: URLs under which this service is known.
    :returns: None if the URL leads elsewhere.
    :raises Invalid: it names this service, and no file; or is none at all.
    """
    parts = parsed(url)
    if _place(parts) not in {_place(parsed(each)) for each in endpoints}:
        return None
    found = _FILE.fullmatch(parts.path)
    if not found:
        raise Invalid(
            f"{url!r:.80} names this service, and none of its files",
            field="download_url",
        )
    query = dict(urllib.parse.parse_qsl(parts.query))
    scope = Scope(query.get("partition"), query.get("environment"))
    return urllib.parse.unquote(found[1]), scope


def _place(parts: urllib.parse.SplitResult) -> tuple[str, int]:
    """Host and port; TLS or not makes it no other service."""
    return str(parts.hostname), parts.port or PORTS[parts.scheme]

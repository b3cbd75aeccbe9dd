# SPDX-License-Identifier: Apache-2.0
"""Exit codes, for scripts.

==== ==========================================================
0    done
1    failed for another reason
2    the command line is wrong; of a plan: there is something to do
3    there is no such object
4    a name is taken or ambiguous, or the present state forbids it
5    the user may not, or is not known
6    the service does not answer; try again
7    the service can't do that
8    a task ended in error
9    a task goes on after the time allowed for ``--wait``
10   the service refuses a value
==== ==========================================================
"""

from __future__ import annotations

from nova_multi.client import errors

OTHER = 1

_CODES: tuple[tuple[type[errors.ClientError], int], ...] = (
    (errors.NotFound, 3),
    (errors.Conflict, 4),
    (errors.Forbidden, 5),
    (errors.Unauthorized, 5),
    (errors.Unavailable, 6),
    (errors.Unsupported, 7),
    (errors.TaskFailed, 8),
    (errors.TaskTimeout, 9),
    (errors.Invalid, 10),
)


def code_of(error: errors.ClientError) -> int:
    """The exit code for an error."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return OTHER


def lines_of(error: errors.ClientError) -> list[str]:
    """What is told of an error: a sentence, or one line for each field."""
    if not isinstance(error, errors.RequestError):
        return [str(error)]
    lines = [detail.get("message") or "" for detail in error.details]
    if len(lines) < 2:
        lines = [error.message]
    if error.status is not None and error.status >= 500 and error.request_id:
        lines.append(f"(request {error.request_id})")
    return lines

# SPDX-License-Identifier: Apache-2.0
"""Seals all that is sealed in the database anew, when keys are changed."""

from __future__ import annotations

import json

from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.provision import deliveries, secret_inputs
from nova_multi.provision.sealing import Seal
from nova_multi.provision.store import Store

#: Key of a record's data under which something is sealed.
SEALED = "sealed"


def rotate(store: Store, seal: Seal) -> int:
    """Seal everything by the first key, also what was not sealed at all.

    The service may be at work meanwhile: what it changes, it seals by that key itself.

    :returns: records that were changed.
    :raises Conflict: no key opens one of them.
    """
    done = 0
    for kind in (secret_inputs.KIND, deliveries.KIND):
        for record in store.list_records(kind):
            sealed = record.data.get(SEALED)
            if isinstance(sealed, str):
                data = {**record.data, SEALED: seal.renewed(sealed)}
            elif kind == secret_inputs.KIND and record.data:
                data = {SEALED: seal.close(json.dumps(dict(record.data)))}
            else:
                continue
            try:
                store.update_record(
                    kind, record.uuid, data=data, expected={SEALED: sealed}
                )
            except (Conflict, NotFound):
                # It was changed just now, by the new key, or is gone.
                continue
            done += 1
    return done

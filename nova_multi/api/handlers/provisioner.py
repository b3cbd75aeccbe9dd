# SPDX-License-Identifier: Apache-2.0
"""Provisioners."""

from nova_multi.api.handlers.base import Noun
from nova_multi.api.schemas import provisioner

ROUTES = Noun(
    noun="provisioner",
    plural="provisioners",
    collection=lambda service: service.provisioners,
    create=provisioner.ProvisionerCreate,
    change=provisioner.ProvisionerChange,
    answer=provisioner.ProvisionerAnswer,
    filters=provisioner.ProvisionerQuery,
).routes()

# SPDX-License-Identifier: Apache-2.0
"""Nova finds our drivers by the names that the documentation gives."""

from __future__ import annotations

import pytest
from nova.virt import driver
from oslo_utils import importutils

from nova_multi.virt import nova_namespace


@pytest.mark.parametrize("name", nova_namespace.DRIVERS)
def test_nova_imports_every_driver(name: str) -> None:
    nova_namespace.register()

    found = importutils.import_class(f"nova.virt.nova_multi.{name}")

    assert issubclass(found, driver.ComputeDriver)
    assert found.__name__ == name


def test_unknown_driver_is_an_import_error() -> None:
    nova_namespace.register()

    with pytest.raises(ImportError):
        importutils.import_class("nova.virt.nova_multi.NoDriver")

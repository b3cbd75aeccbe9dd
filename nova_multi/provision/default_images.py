# SPDX-License-Identifier: Apache-2.0
"""Images of instances that name a driver, but no image.

The operator says which: by an option for each driver, else by a tag in Glance.
"""

from __future__ import annotations

from collections.abc import Collection

from nova_multi.cloud.image import Images
from nova_multi.cloud.values import StoredImage
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid

#: Glance's tag of those that are taken where no option says it.
TAG = "nova-multi-default"


def tagged(
    images: Images, driver: Driver, visibility: str | None, hidden: Collection[str]
) -> StoredImage:
    """The newest with the tag that is for a driver.

    :param visibility: that it must have, so that nobody but an operator can make one
        the default of others; None for any.
    :param hidden: ids of images that are as good as not there.
    :raises Invalid: there is none.
    """
    # Glance gives the newest first.
    for each in images.images(tags=[TAG], visibility=visibility):
        fits = each.status == "active" and driver_of(each) is driver
        if fits and each.id not in hidden:
            return each
    raise Invalid(
        f"{driver} has no default image: name one, or have the operator set"
        f" [provision] {driver}_image, or give a public image for {driver} the tag"
        f" {TAG}",
        field="image",
        code="no_default_image",
    )


def unusable(driver: Driver, name: str, why: str) -> Invalid:
    """What is wrong with the image that an option names."""
    return Invalid(
        f"{driver}'s default image, {name}, can't be used: {why}",
        field="image",
        code="no_default_image",
    )


def driver_of(image: StoredImage) -> Driver | None:
    """What an image is made for; one that doesn't say is for libvirt alone."""
    kind = image.properties.get("img_hv_type", "").lower()
    for driver in Driver:
        if kind in (driver.value, driver.hypervisor_type):
            return driver
    return Driver.LIBVIRT if not kind else None

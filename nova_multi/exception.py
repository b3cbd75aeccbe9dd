# SPDX-License-Identifier: Apache-2.0
"""Every exception that nova_multi raises on purpose.

::

    NovaMultiError
    ├── ConfigurationError          an option or the machine's set-up is unusable
    │
    │   of the drivers
    ├── EngineError                 what a container engine answered or did not answer
    │   ├── EngineUnavailable       no answer: refused, gone, wrong credentials
    │   ├── EngineTimeout           no answer within the time allowed
    │   ├── EngineConflict          the guest is in a state that forbids the request
    │   ├── GuestNotFound           the engine knows no such guest of ours
    │   ├── GuestExists             a guest of that name or UUID is already there
    │   └── EngineImageNotFound     the engine does not hold that image
    ├── ImageRejected               an image is not what it says or not for this driver
    ├── UserDataRejected            user-data that this image can't run
    ├── NetworkSetupError           an interface could not be made, moved or connected
    ├── Unsupported                 asked for something that this driver does not do yet
    ├── BootFailed                  virt.spawn: a step of a boot failed for good
    ├── BuildError                  a guest image can't be built, and what to do
    │
    │   of the provisioning service, told with their HTTP status
    ├── DomainError                 domain.errors: what can be wrong with a request
    │   ├── Invalid                 400
    │   ├── Unauthorized            401, api.errors
    │   │   └── TimeSkewed          a signed request's Date is too far from now
    │   ├── Forbidden               403
    │   ├── NotFound                404
    │   ├── Conflict                409
    │   │   ├── Ambiguous           several fit the name
    │   │   ├── NameTaken           another one has that name
    │   │   ├── NoHost              no host meets a requirement
    │   │   └── PortTaken           cloud.publish: the outside port is in use
    │   ├── Unsupported             501
    │   └── Unavailable             503
    ├── Fenced                      provision.store: a task is another worker's now
    │
    │   of the service's client (client.errors)
    └── ClientError                 what can go wrong when the service is used
        ├── RequestError            the service refused a request
        │   ├── Invalid
        │   ├── Unauthorized
        │   ├── Forbidden
        │   ├── NotFound
        │   ├── Conflict
        │   ├── Unsupported
        │   └── Unavailable
        ├── TaskFailed              a task ended in error
        ├── TaskTimeout             a task had not ended after the time allowed
        └── BadFile                 osc.definition: an environment's file is wrong

A module's name says where one is defined; the others are in this one. Names that the
drivers, the service and its client share are three classes: none of these imports
another.

Errors are translated once, where an engine's library is called; the original is kept
as ``__cause__`` and never parsed for words.
"""

from __future__ import annotations


class NovaMultiError(Exception):
    """Base of all errors that nova_multi raises on purpose."""


class ConfigurationError(NovaMultiError):
    """An option, or the machine it describes, can't be used as it is."""


class EngineError(NovaMultiError):
    """A container engine refused a request.

    :param message: what was asked and what the engine said.
    :param engine: ``docker`` or ``lxd``.
    :param status: the engine's HTTP status, where there was one.
    """

    def __init__(
        self, message: str, *, engine: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.engine = engine
        self.status = status


class EngineUnavailable(EngineError):
    """The engine's daemon can't be reached."""


class EngineTimeout(EngineError):
    """The engine did not answer within the configured time."""


class EngineConflict(EngineError):
    """The guest's present state forbids the request."""


class GuestNotFound(EngineError):
    """The engine holds no guest of ours with that UUID."""


class GuestExists(EngineError):
    """A guest with that UUID or name is already there."""


class EngineImageNotFound(EngineError):
    """The engine does not hold the image."""


class ImageRejected(NovaMultiError):
    """An image is damaged, dangerous, or meant for another hypervisor."""


class UserDataRejected(NovaMultiError):
    """The image has nothing that could run this user-data."""


class NetworkSetupError(NovaMultiError):
    """An interface of a guest could not be made, moved or connected."""


class Unsupported(NovaMultiError):
    """The driver does not do this (yet); nothing was changed."""


class BuildError(NovaMultiError):
    """A guest image can't be built; the text says why, and what to do."""

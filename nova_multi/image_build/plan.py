# SPDX-License-Identifier: Apache-2.0
"""What a recipe comes to on a machine: all defaults filled in, nothing done yet."""

from __future__ import annotations

import dataclasses

from nova_multi.domain.recipe import Init, Kernel, Packaging, Recipe, Variant
from nova_multi.exception import BuildError

#: Debian's names of architectures, with Linux' own, which Glance uses.
ARCHITECTURES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "i386": "i686",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

# The userspace datapath of Open vSwitch forwards packets as they are: a guest that
# leaves checksums to its virtual hardware would get no TCP.
_NETWORK = "virtio_net csum=0 gso=0"
_ALWAYS = ("virtio_pci", "virtio_blk", _NETWORK, "virtio_rng")
#: Config drives: an ISO image on virtio or SCSI, or a FAT disk.
_DRIVES = (
    "virtio_scsi",
    "sr_mod",
    "isofs",
    "nls_ascii",
    "nls_cp437",
    "nls_utf8",
    "vfat",
)

#: What virtual machines of an architecture are booted with.
KERNELS = {
    "amd64": Kernel(
        "linux-image-cloud-amd64",
        # x86 has IDE as well, and a power button.
        (*_ALWAYS, "button", "evdev", "ata_piix", *_DRIVES),
        "root=/dev/vda console=tty0 console=ttyS0 net.ifnames=0 no_timer_check quiet"
        " panic=10",
    ),
    "arm64": Kernel(
        "linux-image-cloud-arm64",
        (*_ALWAYS, *_DRIVES),
        "root=/dev/vda console=ttyAMA0 net.ifnames=0 quiet panic=10",
    ),
}

#: What Nova needs to know of virtual machines that are no x86.
_MACHINES = {"arm64": "virt", "armhf": "virt", "riscv64": "virt", "ppc64el": "pseries"}

_SMALL_PACKAGES = ("busybox", "dropbear-bin", "udhcpc")
#: Of what is not run, only its own files count: no essential package comes by itself.
_EXTRACTED_PACKAGES = (
    "base-files",
    "base-passwd",
    "busybox-static",
    "netbase",
    "udhcpc",
    "util-linux",
)
_SYSTEMD_PACKAGES = ("busybox", "dbus", "systemd-sysv", "udev", "udhcpc")
_CLOUD_INIT_PACKAGES = (
    # Of the initial RAM disk.
    "busybox",
    "cloud-init",
    "dbus",
    "ifupdown",
    "iproute2",
    "isc-dhcp-client",
    "systemd-sysv",
    "udev",
)
_SMALL_APPLETS = (
    "free",
    "httpd",
    "ifconfig",
    "ip",
    "less",
    "nc",
    "netstat",
    "nslookup",
    "ping",
    "ps",
    "route",
    "top",
    "traceroute",
    "uptime",
    "vi",
    "wget",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """The machine that builds.

    :ivar architecture: Debian's word.
    :ivar distribution: in small letters, such as ``debian``.
    :ivar release: code name of its packages' sources; empty if apt knows none.
    """

    architecture: str
    distribution: str
    release: str


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A recipe with everything decided.

    :ivar recipe: with release, architecture and kernel filled in, and the packages,
        unwanted ones and applets that its init adds.
    :ivar foreign: the machine can't run the image's programs.
    :ivar own_sources: its packages come from elsewhere than the machine's.
    :ivar packagings: what is asked for, each once.
    """

    recipe: Recipe
    foreign: bool
    own_sources: bool
    packagings: tuple[Packaging, ...]

    @property
    def needs_kernel(self) -> bool:
        """Whether something is for virtual machines."""
        return any(each.is_disk for each in self.packagings)


def plan(recipe: Recipe, machine: Machine, packagings: tuple[Packaging, ...]) -> Plan:
    """Decide everything that needs no look at packages.

    :raises BuildError: it can't be built here; all reasons at once.
    """
    packagings = tuple(dict.fromkeys(packagings))
    architecture = recipe.architecture or machine.architecture
    release = recipe.release or machine.release
    foreign = not _runs(architecture, machine.architecture)
    wrong = _problems(recipe, machine, architecture, release, foreign, packagings)
    if wrong:
        raise BuildError(f"{recipe.name} can't be built here: {'; '.join(wrong)}")
    unwanted = set(recipe.unwanted)
    added, left_out = _packages(recipe)
    names = {name.partition("=")[0] for name in recipe.packages}
    packages = {*recipe.packages, *(name for name in added if name not in names)}
    kernel = recipe.kernel
    default = KERNELS.get(architecture, Kernel())
    return Plan(
        dataclasses.replace(
            recipe,
            architecture=architecture,
            release=release,
            packages=tuple(
                sorted(
                    name for name in packages if name.partition("=")[0] not in unwanted
                )
            ),
            unwanted=tuple(sorted({*unwanted, *left_out} - names)),
            applets=recipe.applets or _applets(recipe),
            kernel=Kernel(
                kernel.package or default.package,
                kernel.modules or default.modules,
                kernel.command_line or default.command_line,
                kernel.install_modules,
            ),
        ),
        foreign,
        bool(
            recipe.repositories
            or architecture != machine.architecture
            or release != machine.release
            or recipe.distribution != machine.distribution
        ),
        packagings,
    )


def _runs(architecture: str, machine: str) -> bool:
    return architecture == machine or (machine, architecture) == ("amd64", "i386")


def _problems(
    recipe: Recipe,
    machine: Machine,
    architecture: str,
    release: str,
    foreign: bool,
    packagings: tuple[Packaging, ...],
) -> list[str]:
    found = []
    extract = recipe.variant is Variant.EXTRACT
    if not packagings:
        found.append("no format is asked for")
    if not release:
        found.append(
            "apt knows no packages here, and the recipe names no release: run"
            " `apt-get update` first"
        )
    if foreign and not extract:
        found.append(
            f"this machine ({machine.architecture}) can't run programs of"
            f" {architecture}, and packages' own scripts are such: give `variant:"
            " extract`, with which nothing of the image is run"
        )
    if recipe.commands and extract:
        found.append("commands need an image that was installed, not only unpacked")
    if extract and recipe.init not in (Init.SMALL, Init.NONE):
        found.append(
            f"{recipe.init} needs its packages installed, not only unpacked: extract"
            " takes init small or none"
        )
    if any(each.is_disk for each in packagings):
        if recipe.init is Init.NONE:
            found.append("a virtual machine needs an init")
        if architecture not in KERNELS and not (
            recipe.kernel.package
            and recipe.kernel.modules
            and recipe.kernel.command_line
        ):
            found.append(
                f"no kernel is known for {architecture}: give kernel.package,"
                " kernel.modules and kernel.command_line"
            )
    return found


def _packages(recipe: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Packages that the init adds, and those that are left out for it."""
    ssh = ("openssh-server",) if recipe.ssh else ()
    match recipe.init:
        case Init.SMALL if recipe.variant is Variant.EXTRACT:
            return (
                *_EXTRACTED_PACKAGES,
                *(("dropbear-bin",) if recipe.ssh else ()),
            ), ()
        case Init.SMALL:
            # usr-is-merged stands in for usrmerge, which brings the whole of Perl.
            small = tuple(
                name for name in _SMALL_PACKAGES if recipe.ssh or "dropbear" not in name
            )
            return (*small, "usr-is-merged"), ("usrmerge",)
        case Init.SYSTEMD:
            return (*_SYSTEMD_PACKAGES, *ssh, "usr-is-merged"), ("usrmerge",)
        case Init.CLOUD_INIT:
            return (*_CLOUD_INIT_PACKAGES, *ssh, "usr-is-merged"), ("usrmerge",)
    return (), ()


def _applets(recipe: Recipe) -> tuple[str, ...]:
    return _SMALL_APPLETS if recipe.init is Init.SMALL else ()


def machine_properties(architecture: str, foreign: bool) -> dict[str, str]:
    """What Nova is to know of a virtual machine of an architecture.

    :param foreign: the builder has another one, so that the cloud probably has, too,
        and runs it by emulation.
    """
    if architecture in ("amd64", "i386") and not foreign:
        return {}
    linux = ARCHITECTURES.get(architecture, architecture)
    found = {"hw_emulation_architecture" if foreign else "hw_architecture": linux}
    if architecture in _MACHINES:
        # Such machines have no IDE for a config drive.
        found |= {"hw_machine_type": _MACHINES[architecture], "hw_cdrom_bus": "scsi"}
        found["hw_scsi_model"] = "virtio-scsi"
    return found

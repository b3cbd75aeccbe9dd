# SPDX-License-Identifier: Apache-2.0
"""Texts for the two service managers, from one entry of the table. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from . import paths
from .table import Service

# Each process of a service carries its name: after the supervisor was killed, this
# is how its orphans are told from other people's processes.
MARK = "NOVA_MULTI_SERVICE"

# glibc otherwise keeps up to eight arenas for each core, which costs an API with
# many threads tens of megabytes.
_COMMON_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    # Daemons that give themselves a title otherwise write it over their environment,
    # and with it over the mark below.
    "SPT_NOENV": "1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}

# Bound read-only over a /dev/kvm that does not work. libvirt asks access(2) for read
# and write: on a read-only mount a regular file refuses, and libvirt does without
# KVM. An unreadable device node would not do, root may access that.
HIDDEN_DEVICE = paths.RUN / "no-device"

# Where each launcher notes its pid; see processes.py.
PIDS = paths.RUN / "pids"


def environment(service: Service) -> dict[str, str]:
    return {**_COMMON_ENVIRONMENT, **service.environment, MARK: service.name}


def unit_name(name: str) -> str:
    return f"nova-multi-{name.removeprefix('nova-multi-')}.service"


def systemd_unit(service: Service) -> str:
    """The unit: hardened, and with time to stop as long as the service needs."""
    needs = " ".join(unit_name(need) for need in service.needs)
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Written by nova_multi's deployment from its table of services.",
        "[Unit]",
        f"Description=nova_multi: {_percent(service.description)}",
        f"After=network-online.target {needs}".rstrip(),
        "Wants=network-online.target" + (f" {needs}" if needs else ""),
        # At boot what it needs may take its time: it goes on trying.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={_exec(service.command)}",
        f"User={service.user}",
        f"Group={service.effective_group}",
    ]
    if service.type == "oneshot":
        # At boot a need has been started, which is not to say that it answers yet.
        lines += ["Type=oneshot", "RemainAfterExit=yes", "Restart=on-failure"]
        lines.append("RestartSec=2")
    else:
        lines += ["Type=exec", "Restart=always", "RestartSec=2"]
    if service.extra_groups:
        lines.append(f"SupplementaryGroups={' '.join(service.extra_groups)}")
    lines += [
        f"Environment={_quote(f'{key}={value}')}"
        for key, value in sorted(environment(service).items())
    ]
    lines += [
        f"WorkingDirectory={service.working_directory}",
        f"StandardOutput=append:{service.log}",
        "StandardError=inherit",
        f"KillMode={service.kill_mode}",
        f"KillSignal=SIG{service.stop_signal}",
        f"TimeoutStopSec={service.stop_timeout:g}",
        f"TimeoutStartSec={service.ready_timeout:g}",
    ]
    if service.open_files:
        lines.append(f"LimitNOFILE={service.open_files}")
    if service.kill_mode == "process":
        # Guests live on in this unit's control group when its daemon restarts.
        lines += ["Delegate=yes", "TasksMax=infinity", "OOMPolicy=continue"]
    lines += _hardening(service)
    lines += ["", "[Install]", "WantedBy=multi-user.target", ""]
    return "\n".join(lines)


def _hardening(service: Service) -> list[str]:
    lines = []
    if service.hide_kvm:
        lines.append(f"BindReadOnlyPaths={HIDDEN_DEVICE}:/dev/kvm")
    if service.capabilities:
        lines.append(f"AmbientCapabilities={_capabilities(service.capabilities)}")
    if service.user == "root":
        # A root service of the table has to change the machine: its engine's
        # namespaces, mounts and devices. Little can be kept from it.
        if service.protect != "off":
            lines.append(f"ProtectSystem={_protect_root(service)}")
            lines += ["NoNewPrivileges=yes", "PrivateTmp=yes"]
        if service.bounding is not None:
            lines.append(f"CapabilityBoundingSet={_capabilities(service.bounding)}")
        return lines
    lines.append(f"CapabilityBoundingSet={_capabilities(service.capabilities)}")
    if service.protect == "off":
        return lines
    writable = [str(paths.LOG), f"-{paths.RUN}", f"-{service.state}", *service.writable]
    lines += [
        f"ProtectSystem={service.protect}",
        f"ReadWritePaths={' '.join(writable)}",
        "ProtectHome=yes",
        "ProtectClock=yes",
        "ProtectKernelModules=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
    ]
    if not service.capabilities:
        lines += [
            "PrivateDevices=yes",
            "ProtectKernelTunables=yes",
            "ProtectControlGroups=yes",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
        ]
    return lines


def _protect_root(service: Service) -> str:
    return "full" if service.protect == "strict" else service.protect


def _capabilities(names: Iterable[str]) -> str:
    return " ".join(f"CAP_{name}" for name in _plain(names))


def _only(names: Iterable[str]) -> str:
    """As setpriv takes them: these capabilities and no others."""
    return ",".join(["-all", *(f"+{name.lower()}" for name in _plain(names))])


def _plain(names: Iterable[str]) -> list[str]:
    return [name.upper().removeprefix("CAP_") for name in names]


def launcher(service: Service) -> str:
    """A shell script that becomes the service: its user, rights and environment.

    For the supervisor, which knows users but neither groups nor capabilities.
    """
    lines = [
        "#!/bin/sh",
        "# SPDX-License-Identifier: Apache-2.0",
        "# Written by nova_multi's deployment from its table of services.",
        "set -e",
        f"echo $$ > {PIDS / service.name}",
        f"cd {shlex.quote(service.working_directory)}",
    ]
    if service.open_files:
        # A machine whose hard limit is lower keeps that.
        lines.append(f"ulimit -n {service.open_files} 2>/dev/null || :")
    lines += [
        f"export {key}={shlex.quote(value)}"
        for key, value in sorted(environment(service).items())
    ]
    if service.user != "root":
        lines.append(f"export HOME={shlex.quote(str(service.state))}")
    command = shlex.join([*_privileges(service), *service.command])
    if service.hide_kvm:
        inner = (
            f"mount --bind {HIDDEN_DEVICE} /dev/kvm && "
            "mount -o remount,bind,ro /dev/kvm && "
            f"exec {command}"
        )
        command = f"unshare --mount --propagation slave sh -c {shlex.quote(inner)}"
    lines += [f"exec {command}", ""]
    return "\n".join(lines)


def _privileges(service: Service) -> list[str]:
    arguments = ["setpriv"]
    if service.user == "root":
        if service.protect != "off":
            arguments.append("--no-new-privs")
        if service.bounding is not None:
            arguments.append(f"--bounding-set={_only(service.bounding)}")
        if service.effective_group == "root":
            return [*arguments, "--"] if arguments[1:] else []
    arguments += [
        f"--reuid={service.user}",
        f"--regid={service.effective_group}",
    ]
    if service.extra_groups:
        groups = [service.effective_group, *service.extra_groups]
        arguments.append(f"--groups={','.join(groups)}")
    else:
        arguments.append("--init-groups")
    if service.user == "root":
        return [*arguments, "--"]
    kept = _only(service.capabilities)
    arguments += [
        f"--inh-caps={kept}",
        f"--ambient-caps={kept}",
        f"--bounding-set={kept}",
        "--no-new-privs",
        "--",
    ]
    return arguments


def supervisor_program(service: Service, launcher_path: str) -> str:
    """The program's section. Its order and readiness are looked after elsewhere."""
    oneshot = service.type == "oneshot"
    whole_group = "true" if service.kill_mode == "control-group" else "false"
    return "\n".join(
        [
            "; SPDX-License-Identifier: Apache-2.0",
            f"[program:{service.name}]",
            f"command={launcher_path}",
            "autostart=false",
            f"autorestart={'false' if oneshot else 'true'}",
            f"startsecs={0 if oneshot else 1}",
            "startretries=3",
            f"stopsignal={service.stop_signal}",
            f"stopwaitsecs={service.stop_timeout:g}",
            f"stopasgroup={whole_group}",
            f"killasgroup={whole_group}",
            "redirect_stderr=true",
            f"stdout_logfile={service.log}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
            "",
        ]
    )


def _exec(command: tuple[str, ...]) -> str:
    return " ".join(_quote(word) for word in command)


def _quote(word: str) -> str:
    escaped = _percent(word).replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("$", "$$").replace("\n", "\\n")
    plain = word and all(c.isalnum() or c in "-_=/.,:@+" for c in word)
    return escaped if plain else f'"{escaped}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")

# SPDX-License-Identifier: Apache-2.0
"""Puts the provisioning service together from its configuration."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence

from oslo_config import cfg
from oslo_log import log

from nova_multi import exception
from nova_multi.cloud.clouds import Account, CloudConfig, Clouds, SingleCloud
from nova_multi.conf import api as conf_api
from nova_multi.conf import provision as conf_provision
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import Policy
from nova_multi.domain.provisioner import Ways
from nova_multi.provision import bus, fetch
from nova_multi.provision.audit import Audit
from nova_multi.provision.events import Listener
from nova_multi.provision.runner import Runner
from nova_multi.provision.sealing import Seal
from nova_multi.provision.settings import Settings
from nova_multi.provision.signals import Local, Signals
from nova_multi.provision.store import FileStore, Store, options
from nova_multi.provision.tools import Tools
from nova_multi.provision.worker import Worker

PROJECT = "nova-multi"
#: Libraries that tell every request, some of them with what is in it.
_QUIET = [
    "keystoneauth=WARNING",
    "keystoneauth.session=WARNING",
    "openstack=WARNING",
    "urllib3=WARNING",
    "stevedore=WARNING",
    "oslo.messaging=WARNING",
    # Audit records, where the operator wants them in the log.
    "oslo.messaging.notification=INFO",
    "sqlalchemy=WARNING",
]


def configuration(
    arguments: Sequence[str], prog: str, files: Sequence[str] | None = None
) -> cfg.ConfigOpts:
    """The configuration, with the log set up by it.

    :param files: configuration files, instead of those in the usual places.
    """
    conf = cfg.ConfigOpts()
    conf_api.register_opts(conf)
    conf_provision.register_opts(conf)
    options.register_opts(conf)
    log.register_options(conf)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *_QUIET])
    conf(list(arguments), project=PROJECT, prog=prog, default_config_files=files)
    log.setup(conf, PROJECT)
    return conf


def settings(conf: cfg.ConfigOpts) -> Settings:
    """What the operator decided.

    :raises ConfigurationError: options contradict one another.
    """
    decided, workers = conf.provision, conf.worker
    if workers.lease < 2 * conf.cloud.timeout:
        raise exception.ConfigurationError(
            f"[worker] lease ({workers.lease}) must be at least twice [cloud] timeout"
            f" ({conf.cloud.timeout:.0f}): a worker may be waiting for an answer when"
            " its lease ends"
        )
    if decided.first_free_port > decided.last_free_port:
        raise exception.ConfigurationError(
            "[provision] first_free_port is above last_free_port"
        )
    return Settings(
        domain_id=conf.cloud.domain_id,
        member_role=conf.cloud.member_role,
        external_network=decided.external_network,
        cidr=decided.environment_cidr,
        networks_cidr=_pool(decided.networks_cidr),
        dns=tuple(decided.dns),
        images=_default_images(conf),
        ports=range(decided.first_free_port, decided.last_free_port + 1),
        policy=None if decided.policy == "nova" else Policy(decided.policy),
        suffixes={
            Driver.DOCKER: decided.docker_suffix,
            Driver.LXD: decided.lxd_suffix,
        },
        listening=workers.notifications and bus.is_configured(conf),
        delete_failed=decided.delete_failed,
        ways=_ways(conf),
        apply_width=decided.apply_width,
        lease=float(workers.lease),
        patience=float(decided.patience),
        build_timeout=float(decided.build_timeout),
        report_timeout=float(decided.report_timeout),
        script_timeout=float(decided.script_timeout),
        hours_look=float(decided.hours_look),
        hours_retry=float(decided.hours_retry),
        sweep_flavors=decided.sweep_flavors,
        task_retention=decided.task_retention * 86400.0,
        usage_retention=decided.usage_retention * 86400.0,
        endpoints=_endpoints(decided.endpoints),
        private_hosts=frozenset(decided.private_hosts),
        max_image_size=decided.max_image_size_gb * 1024**3,
        download_timeout=float(decided.download_timeout),
        # All other work needs threads, too.
        downloads=max(1, workers.threads // 4),
        max_unpacked=decided.image_max_unpacked_gb * 1024**3,
        max_members=decided.image_max_members,
        installer_cpus=decided.installer_cpus,
        installer_memory_mb=decided.installer_memory,
        installer_disk_gb=decided.installer_disk,
        install_timeout=float(decided.install_timeout),
        max_file_size=conf.api.max_file_size,
        max_project_files=decided.max_project_files_gb * 1024**3,
    )


def _ways(conf: cfg.ConfigOpts) -> Ways:
    if conf.provision.vendordata and conf.cloud.single_cloud:
        raise exception.ConfigurationError(
            "[provision] vendordata is not for [cloud] single_cloud: Nova asks with an"
            " account of another project"
        )
    if conf.provision.vendordata and not conf.secrets.fernet_keys:
        raise exception.ConfigurationError(
            "[provision] vendordata takes a key in [secrets] fernet_keys"
        )
    return Ways(
        metadata=conf.provision.vendordata,
        secrets_in_user_data=conf.provision.secrets_in_user_data,
    )


def _pool(cidr: str) -> str:
    try:
        return str(ipaddress.IPv4Network(cidr))
    except ValueError as error:
        raise exception.ConfigurationError(
            f"[provision] networks_cidr: {cidr!r} is no range of IPv4 addresses"
        ) from error


def _default_images(conf: cfg.ConfigOpts) -> dict[Driver, str]:
    names = {driver: conf.provision[f"{driver}_image"] for driver in Driver}
    return {driver: name for driver, name in names.items() if name}


def _endpoints(urls: Iterable[str]) -> tuple[str, ...]:
    for url in urls:
        try:
            fetch.parsed(url)
        except Invalid as error:
            raise exception.ConfigurationError(
                f"[provision] endpoints: {url!r} is no URL of http or https"
            ) from error
    return tuple(urls)


def clouds(conf: cfg.ConfigOpts) -> Clouds | SingleCloud:
    """The service's accounts.

    :raises ConfigurationError: clouds.yaml lacks one.
    """
    if conf.cloud.clouds_file:
        # The one way to tell openstacksdk.
        os.environ["OS_CLIENT_CONFIG_FILE"] = conf.cloud.clouds_file
    if conf.cloud.single_cloud:
        return Clouds.single(conf.cloud.single_cloud, conf.cloud.timeout)
    return Clouds(
        CloudConfig(
            admin=Account(cloud=conf.cloud.admin_cloud),
            manager=Account(cloud=conf.cloud.manager_cloud),
            timeout=conf.cloud.timeout,
        )
    )


def tools(conf: cfg.ConfigOpts, signals: Signals | None = None) -> Tools:
    """All that API and workers share.

    :param signals: how workers of this process are woken; None asks the bus, if there
        is one.
    :raises ConfigurationError: something is missing.
    """
    if not conf.database.connection:
        raise exception.ConfigurationError(
            "no database: set connection in group [database] of the configuration"
        )
    audit = Audit()
    if bus.is_configured(conf):
        notifier = bus.AuditNotifier(conf)
        audit = Audit(notifier if notifier.sends else None)
        signals = signals or bus.BusSignals(bus.transport(conf))
    return Tools(
        store=Store(conf.database.connection),
        clouds=clouds(conf),
        files=FileStore(conf.provision.files_folder),
        settings=settings(conf),
        signals=signals or Local(),
        audit=audit,
        seal=Seal(conf.secrets.fernet_keys),
    )


def worker(conf: cfg.ConfigOpts, shared: Tools, name: str) -> Worker:
    """A worker that isn't begun yet."""
    made = Worker(
        shared,
        Runner(shared),
        name,
        threads=conf.worker.threads,
        look=conf.worker.look,
    )
    if isinstance(shared.signals, Local):
        shared.signals.on_work = made.on_work
        shared.signals.on_wake = made.on_wake
    return made


def ears(conf: cfg.ConfigOpts, shared: Tools, made: Worker) -> bus.Ears | None:
    """What a worker listens to; None where there is no bus."""
    if not bus.is_configured(conf):
        return None
    listener = Listener(shared) if shared.settings.listening else None
    return bus.Ears(conf, made.name, made.on_work, made.on_wake, listener)

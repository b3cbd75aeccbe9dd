# SPDX-License-Identifier: Apache-2.0
"""Options of the provisioning service's work: accounts, workers, decisions."""

from __future__ import annotations

from oslo_config import cfg

cloud_group = cfg.OptGroup("cloud", title="Accounts of the provisioning service")

cloud_opts = [
    cfg.StrOpt(
        "admin_cloud",
        default="nova-multi-admin",
        help="""
Entry of clouds.yaml with which the service does what Nova keeps for administrators:
aggregates, flavors, lists of hosts, a demanded host. Needs the roles admin and service
on a project.
""",
    ),
    cfg.StrOpt(
        "manager_cloud",
        default="nova-multi-manager",
        help="""
Entry of clouds.yaml with which the service makes projects, users and grants in
``domain_id``, and works inside of the projects it has made. Needs the role manager (or
admin) on that domain.
""",
    ),
    cfg.StrOpt(
        "single_cloud",
        help="""
Entry of clouds.yaml of an ordinary user. Where it is set, the two accounts above are
not used: partitions and environments live in that user's one project, told apart by
tags, and what takes an administrator is refused.
""",
    ),
    cfg.StrOpt(
        "clouds_file",
        help="""
clouds.yaml to read instead of the usual places. It holds passwords: only the service's
user should be able to read it.
""",
    ),
    cfg.StrOpt(
        "domain_id",
        default="default",
        help="Keystone's domain in which partitions and environments are made.",
    ),
    cfg.StrOpt(
        "member_role",
        default="member",
        help="""
Role that users of an environment, and the service itself, are given on its project.
""",
    ),
    cfg.FloatOpt(
        "timeout",
        default=30.0,
        min=1.0,
        max=600.0,
        help="Seconds that OpenStack may take for one answer.",
    ),
]

provision_group = cfg.OptGroup("provision", title="What the service decides")

provision_opts = [
    cfg.StrOpt(
        "policy",
        default="fewest_instances",
        choices=[
            ("fewest_instances", "the host with the fewest instances"),
            ("most_free_memory", "the host with the most free memory"),
            ("nova", "whichever Nova's scheduler weighs highest"),
        ],
        help="""
Which of the hosts that fit an instance is taken: those of its partition that have the
driver, the type and enough room. The first two demand the host of Nova, which still
refuses one that its filters reject.
""",
    ),
    cfg.StrOpt(
        "external_network",
        help="""
Name or id of the network that routers of environments lead to and publishing addresses
come from. Without it the default external network is used, or the only one.
""",
    ),
    cfg.StrOpt(
        "environment_cidr",
        default="10.20.0.0/16",
        help="""
Addresses of each environment's own network. All environments have the same: they are
behind routers of their own.
""",
    ),
    cfg.StrOpt(
        "networks_cidr",
        default="10.128.0.0/12",
        help="""
Addresses of further networks of an environment's file that names none: each gets a /24
of these that no other network of the environment has. IPv4.
""",
    ),
    cfg.ListOpt(
        "dns",
        default=[],
        help="Name servers of environments' networks; without any, Neutron's own.",
    ),
    cfg.StrOpt(
        "docker_image",
        help="""
Name or id of the image of instances that ask for Docker and name no image, nor have a
provisioner that does. Without it the newest public image for Docker with the tag
``nova-multi-default`` is taken; where there is none either, such instances are refused.
""",
    ),
    cfg.StrOpt(
        "lxd_image",
        help="""
Name or id of the image of instances that ask for LXD and name no image, nor have a
provisioner that does; else as for Docker.
""",
    ),
    cfg.StrOpt(
        "libvirt_image",
        help="""
Name or id of the image of instances that ask for libvirt and name no image, nor have a
provisioner that does; else as for Docker.
""",
    ),
    cfg.PortOpt(
        "first_free_port",
        default=20000,
        help="""
First of the outside ports that are given to ports published without one.
""",
    ),
    cfg.PortOpt(
        "last_free_port",
        default=29999,
        help="""
Last of the outside ports that are given to ports published without one.
""",
    ),
    cfg.StrOpt(
        "docker_suffix",
        default="-docker",
        help="""
What the name of a machine's compute host for Docker has behind the machine's own name.
""",
    ),
    cfg.StrOpt(
        "lxd_suffix",
        default="-lxd",
        help="""
What the name of a machine's compute host for LXD has behind the machine's own name.
""",
    ),
    cfg.IntOpt(
        "build_timeout",
        default=1800,
        min=10,
        help="Seconds after which a server that is not ACTIVE is given up.",
    ),
    cfg.IntOpt(
        "report_timeout",
        default=1800,
        min=10,
        help="""
Seconds without a sign of a guest's provisioner after which it counts as failed.
""",
    ),
    cfg.IntOpt(
        "script_timeout",
        default=14400,
        min=10,
        help="""
Seconds after which a guest ends a provisioner's script, and counts as failed if it
does not, however much it reports. A provisioner may have a shorter limit of its own.
""",
    ),
    cfg.IntOpt(
        "hours_look",
        default=15,
        min=1,
        max=3600,
        help="""
Seconds between a worker's looks for environments whose working hours have begun or
ended. Any number of workers may look: one of them acts.
""",
    ),
    cfg.IntOpt(
        "hours_retry",
        default=600,
        min=1,
        help="""
Seconds after which a begin or an end of working hours is tried again whose task has
failed. The pause is doubled with each further failure, up to sixteen times as long.
""",
    ),
    cfg.BoolOpt(
        "sweep_flavors",
        default=True,
        help="""
Delete flavors that the service has made for a size, once no instance has had that size
for an hour. Servers keep their copy. Where other clients use these flavors by name, or
another service of this kind works on the same cloud, turn it off.
""",
    ),
    cfg.IntOpt(
        "task_retention",
        default=90,
        min=0,
        help="""
Days for which finished tasks are kept, with their histories and logs; 0 for ever.
""",
    ),
    cfg.IntOpt(
        "usage_retention",
        default=730,
        min=0,
        help="""
Days for which it is kept from when to when servers lived that are gone, for reports of
usage; 0 for ever.
""",
    ),
    cfg.IntOpt(
        "patience",
        default=600,
        min=0,
        help="""
Seconds for which a step waits for an OpenStack service that does not answer, before its
task is given up and taken back.
""",
    ),
    cfg.BoolOpt(
        "delete_failed",
        default=False,
        help="""
Delete an instance whose provisioner has failed. Otherwise it is kept to be looked at,
and only its task is in the state error.
""",
    ),
    cfg.BoolOpt(
        "vendordata",
        default=False,
        help="""
Nova's metadata service asks this service for what guests fetch at the metadata address:
its ``[api] vendordata_dynamic_targets`` has ``nova_multi@URL/v1/vendordata``, and its
``[vendordata_dynamic_auth]`` an account called ``nova-metadata`` with the role service
that nova-compute does not have. Secrets, and scripts that are too large for user-data,
come to guests that way. Without it such scripts are refused, and so are secrets, see
``secrets_in_user_data``. Takes ``[secrets] fernet_keys``; not with
``[cloud] single_cloud``.
""",
    ),
    cfg.BoolOpt(
        "secrets_in_user_data",
        default=False,
        help="""
Give secrets to guests in user-data where ``vendordata`` is off. There any program in
the guest, and whoever administers Nova, can read them as long as the server is there.
""",
    ),
    cfg.IntOpt(
        "apply_width",
        default=50,
        min=1,
        max=1000,
        help="""
Instances of one environment's definition that are made, changed or deleted at the same
time, unless the request says how many. Workers' threads are another limit: steps that
only wait take none.
""",
    ),
    cfg.ListOpt(
        "endpoints",
        default=[],
        help="""
URLs under which users know this service, such as the catalog's. An image whose
``download_url`` is there is read from the service's own files, as far as the caller may
see them. Only host and port matter.
""",
    ),
    cfg.ListOpt(
        "private_hosts",
        default=[],
        help="""
Names or addresses of private hosts that images may be fetched from. All hosts with
private, loopback and link-local addresses are refused otherwise.
""",
    ),
    cfg.IntOpt(
        "max_image_size_gb",
        default=64,
        min=1,
        help="Largest image, in GiB, that is fetched from a URL.",
    ),
    cfg.IntOpt(
        "download_timeout",
        default=7200,
        min=1,
        help="""
Seconds that fetching an image from a URL may take, from the first connection to the
last byte. A worker fetches with a quarter of its threads at most.
""",
    ),
    cfg.IntOpt(
        "image_max_unpacked_gb",
        default=64,
        min=1,
        help="""
Largest size, in GiB, of all files in an image for containers; a larger one is refused
before it gets into Glance.
""",
    ),
    cfg.IntOpt(
        "image_max_members",
        default=500_000,
        min=1000,
        help="Largest number of files in an image for containers.",
    ),
    cfg.IntOpt(
        "installer_cpus",
        default=1,
        min=1,
        help="CPUs of the instance in which an unattended installation runs.",
    ),
    cfg.IntOpt(
        "installer_memory",
        default=1024,
        min=64,
        help="""
Memory, in MB, of the instance in which an unattended installation runs. Installers keep
all that they load in it.
""",
    ),
    cfg.IntOpt(
        "installer_disk",
        default=8,
        min=1,
        help="""
Disk, in GB, that an unattended installation installs to. It is the least that instances
of the image need.
""",
    ),
    cfg.IntOpt(
        "install_timeout",
        default=7200,
        min=60,
        help="""
Seconds after which an unattended installation that has not ended is given up.
""",
    ),
    cfg.IntOpt(
        "max_project_files_gb",
        default=10,
        min=1,
        help="All files that one project may have uploaded, in GiB together.",
    ),
    cfg.StrOpt(
        "files_folder",
        default="/var/lib/nova-multi/files",
        help="""
Folder for the contents of files, also of those that are on their way. Where there are
several machines with the API it must be a shared one.
""",
    ),
]

secrets_group = cfg.OptGroup("secrets", title="Secrets of the provisioning service")

secrets_opts = [
    cfg.ListOpt(
        "fernet_keys",
        default=[],
        secret=True,
        help="""
Keys by which secrets are sealed in the database: the first seals, all of them open.
``nova-multi-manage secrets key`` makes one. To change keys put a new one first, restart
everything, run ``nova-multi-manage secrets rotate``, and take the old one away. The API
and all workers must have the same. Without a key secrets are refused. Whoever loses the
keys loses the secrets.
""",
    ),
]

worker_group = cfg.OptGroup("worker", title="Workers of the provisioning service")

worker_opts = [
    cfg.IntOpt(
        "threads",
        default=8,
        min=1,
        max=64,
        help="""
Steps that one worker does at the same time. Tasks that only wait take no thread.
""",
    ),
    cfg.IntOpt(
        "lease",
        default=90,
        min=10,
        help="""
Seconds after which the tasks of a worker that is not heard of are taken over by others.
Must be at least twice ``[cloud] timeout``: a request that is on its way has ended then.
""",
    ),
    cfg.FloatOpt(
        "look",
        default=5.0,
        min=0.1,
        help="""
Seconds between looks into the database for tasks that no message told of.
""",
    ),
    cfg.BoolOpt(
        "notifications",
        default=True,
        help="""
Listen to Nova's notifications on the topic ``nova_multi_notifications``, so that tasks
show within a second what Nova does. Nova must be told to send there: versioned
notifications, with state changes. Without ``transport_url`` nothing is listened to, and
Nova is asked once a second instead.
""",
    ),
]

_GROUPS = {
    cloud_group: cloud_opts,
    provision_group: provision_opts,
    secrets_group: secrets_opts,
    worker_group: worker_opts,
}


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Declare the groups on ``conf``; repeating it is harmless."""
    for group, opts in _GROUPS.items():
        conf.register_group(group)
        conf.register_opts(opts, group=group)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    """Options for the sample configuration."""
    return dict(_GROUPS)

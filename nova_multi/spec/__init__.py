# SPDX-License-Identifier: Apache-2.0
"""An environment's file: YAML or plain data -> domain, all errors at once.

No network, and no file but those that the caller's ``read_file`` opens.
"""

from nova_multi.spec.context import ReadFile
from nova_multi.spec.dump import dump
from nova_multi.spec.files import folder_reader
from nova_multi.spec.hours import dump_schedule, load_schedule, load_schedule_text
from nova_multi.spec.loader import input_values, load_dict, load_text
from nova_multi.spec.places import place_of
from nova_multi.spec.plain import plain
from nova_multi.spec.problems import Problem

__all__ = [
    "Problem",
    "ReadFile",
    "dump",
    "dump_schedule",
    "folder_reader",
    "input_values",
    "load_dict",
    "load_schedule",
    "load_schedule_text",
    "load_text",
    "plain",
    "place_of",
]

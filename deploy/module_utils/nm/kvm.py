# SPDX-License-Identifier: Apache-2.0
"""Does KVM really run a guest here?

Some machines have a /dev/kvm that opens, even makes virtual machines, and then fails
to run them; libvirt is badly slowed down by it. So a guest of one instruction runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

_DEVICE = Path("/dev/kvm")

# linux/kvm.h, on x86-64.
_KVM_CREATE_VM = 0xAE01
_KVM_GET_VCPU_MMAP_SIZE = 0xAE04
_KVM_CREATE_VCPU = 0xAE41
_KVM_RUN = 0xAE80
_KVM_SET_USER_MEMORY_REGION = 0x4020AE46
_KVM_SET_REGS = 0x4090AE82
_KVM_GET_SREGS = 0x8138AE83
_KVM_SET_SREGS = 0x4138AE84
_KVM_EXIT_HLT = 5
# struct kvm_sregs begins with cs: base u64, limit u32, selector u16, ...
_SREGS_SIZE = 312
# struct kvm_regs: rax..rdi, rsp, rbp, r8..r15, rip, rflags.
_REGS_RIP = 16
_REGS_COUNT = 18
_HLT = b"\xf4"
_RESERVED_FLAG = 2


def works(timeout: float = 10.0) -> bool:
    """Whether a guest ran to its end, in a process of its own that may hang."""
    if not _DEVICE.exists():
        return False
    program = f"import sys; sys.path[:] = {sys.path!r}; import {__name__} as kvm"
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; kvm.run_guest()"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def run_guest() -> None:
    """Run a guest that halts at once.

    :raises OSError: KVM refuses.
    :raises RuntimeError: the guest ended in another way.
    """
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(device, _KVM_CREATE_VM, 0)
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    memory[: len(_HLT)] = _HLT
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    region = struct.pack("=IIQQQ", 0, 0, 0, mmap.PAGESIZE, address)
    fcntl.ioctl(machine, _KVM_SET_USER_MEMORY_REGION, region)
    processor = fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0)
    size = fcntl.ioctl(device, _KVM_GET_VCPU_MMAP_SIZE, 0)
    shared = mmap.mmap(processor, size)
    segments = bytearray(_SREGS_SIZE)
    fcntl.ioctl(processor, _KVM_GET_SREGS, segments)
    # Real mode at address 0: base and selector of the code segment.
    struct.pack_into("=Q", segments, 0, 0)
    struct.pack_into("=H", segments, 12, 0)
    fcntl.ioctl(processor, _KVM_SET_SREGS, segments)
    registers = [0] * _REGS_COUNT
    registers[_REGS_RIP + 1] = _RESERVED_FLAG
    packed = struct.pack(f"={_REGS_COUNT}Q", *registers)
    fcntl.ioctl(processor, _KVM_SET_REGS, packed)
    fcntl.ioctl(processor, _KVM_RUN, 0)
    # struct kvm_run: request_interrupt_window u8, padding, exit_reason u32 at 8.
    (reason,) = struct.unpack_from("=I", shared, 8)
    if reason != _KVM_EXIT_HLT:
        raise RuntimeError(f"the guest ended with exit reason {reason}")

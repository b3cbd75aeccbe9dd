# SPDX-License-Identifier: Apache-2.0
"""Does KVM really run a guest here?

Some machines have a /dev/kvm that opens, makes virtual machines and even runs a first
instruction, and on which no kernel ever boots; libvirt is badly slowed down by it. So
a guest goes the way that each kernel goes, from real to protected to long mode; and
where QEMU is installed already, it has to bring its BIOS to the point of booting, with
the host's own processor.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import multiprocessing
import os
import select
import shutil
import struct
import subprocess
import time
from pathlib import Path

_DEVICE = Path("/dev/kvm")
# SeaBIOS' last words on a machine without disks.
_BIOS_SIGN = b"No bootable device"

# linux/kvm.h, on x86-64.
_KVM_CREATE_VM = 0xAE01
_KVM_GET_VCPU_MMAP_SIZE = 0xAE04
_KVM_GET_SUPPORTED_CPUID = 0xC008AE05
_KVM_CREATE_VCPU = 0xAE41
_KVM_SET_USER_MEMORY_REGION = 0x4020AE46
_KVM_SET_TSS_ADDR = 0xAE47
_KVM_RUN = 0xAE80
_KVM_SET_REGS = 0x4090AE82
_KVM_GET_SREGS = 0x8138AE83
_KVM_SET_SREGS = 0x4138AE84
_KVM_SET_CPUID2 = 0x4008AE90
# As fcntl takes it: 0xfffbd000, where QEMU has it too.
_TSS_ADDRESS = 0xFFFBD000 - 2**32
_KVM_EXIT_HLT = 5
_CPUID_ENTRIES = 256
_CPUID_ENTRY_SIZE = 40
# struct kvm_sregs begins with cs: base u64, limit u32, selector u16, ...
_SREGS_SIZE = 312
# struct kvm_regs: rax..rdi, rsp, rbp, r8..r15, rip, rflags.
_REGS_COUNT = 18
_RFLAGS = 17
_RESERVED_FLAG = 2

# lgdt; cr0.PE; far jump to 32 bit; cr4.PAE; cr3 = 0x1000; EFER.LME; cr0.PG; far jump
# to 64 bit; cpuid; store the sign at 0x800 by way of the stack; hlt. Then the
# descriptors of flat 32 bit code, flat data, and 64 bit code.
_CODE = bytes.fromhex(
    "fa660f011690000f20c06683c8010f22c066ea19000000080066b810008e"
    "d88ed0bc000f00000f20e083c8200f22e0b8001000000f22d8b9800000c0"
    "0f320d000100000f300f20c00d000000800f22c0ea57000000180031c00f"
    "a248b8746c756d61766f6e505b48891c2500080000f40000000000000000"
    "ffff0000009acf00ffff00000092cf00ffff0000009aaf001f0070000000"
)
_SIGN = 0x6E6F76616D756C74
_SIGN_ADDRESS = 0x800
_MEMORY = 0x10000
# Tables at these addresses map the first two megabytes to themselves.
_PAGE_TABLES = {0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x83}


def works(timeout: float = 10.0) -> bool:
    """Whether guests ran to their ends. In processes of their own, which may hang."""
    if not _DEVICE.exists():
        return False
    qemu = shutil.which("qemu-system-x86_64", path="/usr/local/bin:/usr/bin")
    return _halts(timeout) and (qemu is None or _bios_boots(qemu, timeout))


def _halts(timeout: float) -> bool:
    child = multiprocessing.get_context("fork").Process(target=_run_quietly)
    child.start()
    child.join(timeout)
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode == 0


def _run_quietly() -> None:
    try:
        run_guest()
    except (OSError, RuntimeError):
        os._exit(1)
    os._exit(0)


def _bios_boots(qemu: str, timeout: float) -> bool:
    """Whether SeaBIOS says on its debugging port that it is about to boot."""
    process = subprocess.Popen(
        [
            *(qemu, "-nodefaults", "-no-user-config", "-machine", "pc,accel=kvm"),
            *("-cpu", "host", "-m", "64", "-display", "none", "-serial", "none"),
            *("-chardev", "stdio,id=log", "-device"),
            "isa-debugcon,iobase=0x402,chardev=log",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + timeout
    try:
        while _BIOS_SIGN not in said and time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0.2)[0]:
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    break
                said += part
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return _BIOS_SIGN in said


def run_guest() -> None:
    """Run a guest that goes into long mode, leaves a sign in memory, and halts.

    :raises OSError: KVM refuses.
    :raises RuntimeError: the guest ended in another way.
    """
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(device, _KVM_CREATE_VM, 0)
    # Intel's needs a place below 4 GiB for its own use in real mode.
    fcntl.ioctl(machine, _KVM_SET_TSS_ADDR, _TSS_ADDRESS)
    memory = mmap.mmap(-1, _MEMORY)
    memory[: len(_CODE)] = _CODE
    for address, entry in _PAGE_TABLES.items():
        struct.pack_into("=Q", memory, address, entry)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    region = struct.pack("=IIQQQ", 0, 0, 0, _MEMORY, start)
    fcntl.ioctl(machine, _KVM_SET_USER_MEMORY_REGION, region)
    processor = fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0)
    _set_registers(device, processor)
    size = fcntl.ioctl(device, _KVM_GET_VCPU_MMAP_SIZE, 0)
    shared = mmap.mmap(processor, size)
    fcntl.ioctl(processor, _KVM_RUN, 0)
    # struct kvm_run: request_interrupt_window u8, padding, exit_reason u32 at 8.
    (reason,) = struct.unpack_from("=I", shared, 8)
    (sign,) = struct.unpack_from("=Q", memory, _SIGN_ADDRESS)
    if reason != _KVM_EXIT_HLT or sign != _SIGN:
        raise RuntimeError(f"the guest ended with exit reason {reason}")


def _set_registers(device: int, processor: int) -> None:
    # Without being told what the processor can do, KVM denies it long mode.
    features = bytearray(8 + _CPUID_ENTRIES * _CPUID_ENTRY_SIZE)
    struct.pack_into("=I", features, 0, _CPUID_ENTRIES)
    fcntl.ioctl(device, _KVM_GET_SUPPORTED_CPUID, features)
    fcntl.ioctl(processor, _KVM_SET_CPUID2, features)
    segments = bytearray(_SREGS_SIZE)
    fcntl.ioctl(processor, _KVM_GET_SREGS, segments)
    # Real mode at address 0: base and selector of the code segment.
    struct.pack_into("=Q", segments, 0, 0)
    struct.pack_into("=H", segments, 12, 0)
    fcntl.ioctl(processor, _KVM_SET_SREGS, segments)
    registers = [0] * _REGS_COUNT
    registers[_RFLAGS] = _RESERVED_FLAG
    packed = struct.pack(f"={_REGS_COUNT}Q", *registers)
    fcntl.ioctl(processor, _KVM_SET_REGS, packed)

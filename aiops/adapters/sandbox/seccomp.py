"""The system calls that a sandboxed program may make, as a program of the kernel's packet filter (seccomp-bpf).

What is not in the list below does not happen: EPERM, and ENOSYS for `clone3`, whose flags no filter can read, and for calls that
are newer than the list, so that libraries fall back to what they used before. A call in another form (i386, x32) is refused
whatever it is: it would mean another call by the same number. Nothing is killed, so that a refusal shows as an error of the
program that met it.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable

from aiops.adapters.sandbox.syscalls import NUMBERS
from aiops.errors import Refused

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of NUMBERS, AUDIT_ARCH of the kernel

# Offsets into struct seccomp_data; of each argument its low half, which is all that the kernel looks at of those asked here.
_NR, _ARCH, _ARGUMENT = 0, 4, 16
_X32 = 0x40000000
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ABOVE, _JUMP_IF_FROM, _JUMP_IF_BITS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # these put characters into a terminal as if somebody had typed them
_ASK_PERSONALITY = 0xFFFFFFFF

_EXAMINED = {"clone", "clone3", "ioctl", "personality", "socket", "socketpair"}

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def program(machine: str = "") -> bytes:
    """The filter for an architecture (default: this machine's). Refused for one whose calls are not known here."""
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise Refused(f"no system call filter for {machine}; there is one for {', '.join(ARCHITECTURES)}")
    column, arch = ARCHITECTURES[machine]
    number = {name: n for name, both in NUMBERS.items() if (n := both[column]) is not None}
    lines: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_IF_EQUAL, 1, 0, arch),
        _no(errno.EPERM),
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        lines += [(_JUMP_IF_FROM, 0, 1, _X32), _no(errno.EPERM)]
    lines += [(_JUMP_IF_EQUAL, 0, 1, number["clone3"]), _no(errno.ENOSYS)]
    lines += _unless_bits(number["clone"], 0, _NEW_NAMESPACES)
    lines += _unless_equal(number["ioctl"], 1, (_TIOCSTI, _TIOCLINUX))
    for name, argument, wanted in (
        ("personality", 0, _ASK_PERSONALITY),
        ("socket", 0, _AF_UNIX),
        ("socketpair", 0, _AF_UNIX),
    ):
        lines += _only_equal(number[name], argument, wanted)
    for low, high in _ranges(n for name, n in number.items() if name not in _EXAMINED):
        lines += [(_JUMP_IF_FROM, 0, 2, low), (_JUMP_IF_ABOVE, 1, 0, high), (_RETURN, 0, 0, _ALLOW)]
    lines += [(_JUMP_IF_ABOVE, 0, 1, max(number.values())), _no(errno.ENOSYS), _no(errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _no(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERROR | error)


def _unless_bits(call: int, argument: int, bits: int) -> list[Instruction]:
    """Allows a call whose argument has none of the bits."""
    return [
        (_JUMP_IF_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, _ARGUMENT + 8 * argument),
        (_JUMP_IF_BITS, 0, 1, bits),
        _no(errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _unless_equal(call: int, argument: int, refused: tuple[int, ...]) -> list[Instruction]:
    """Allows a call whose argument is none of these."""
    checks = [line for value in refused for line in ((_JUMP_IF_EQUAL, 0, 1, value), _no(errno.EPERM))]
    inner = [(_LOAD, 0, 0, _ARGUMENT + 8 * argument), *checks, (_RETURN, 0, 0, _ALLOW)]
    return [(_JUMP_IF_EQUAL, 0, len(inner), call), *inner]


def _only_equal(call: int, argument: int, wanted: int) -> list[Instruction]:
    """Allows a call whose argument is this one."""
    return [
        (_JUMP_IF_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, _ARGUMENT + 8 * argument),
        (_JUMP_IF_EQUAL, 0, 1, wanted),
        (_RETURN, 0, 0, _ALLOW),
        _no(errno.EPERM),
    ]


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, first and last of each."""
    found: list[tuple[int, int]] = []
    for n in sorted(numbers):
        if found and found[-1][1] == n - 1:
            found[-1] = (found[-1][0], n)
        else:
            found.append((n, n))
    return found

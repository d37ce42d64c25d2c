"""What a payload may try. Each attack is Python that runs inside the sandbox and tells, by `told(escaped, detail)`, whether it
got anywhere; where it can't tell itself, `status` alone says that it was stopped.

The host's side: ATTACK_PORT (a TCP listener on loopback), ATTACK_ABSTRACT and ATTACK_SOCK (Unix listeners), ATTACK_PID (a process
of the service's user), ATTACK_FOLDER (a folder that everybody may write), ATTACK_HOST (the host's name), `canary-` in the
service's environment and in the arguments of another process, one inheritable descriptor, one SysV shared memory segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

HELPER = dedent("""
    import ctypes, errno, json, os, resource, signal, socket, stat, struct, subprocess, sys, threading, time
    libc = ctypes.CDLL(None, use_errno=True)
    def told(escaped, detail=""):
        print(json.dumps({"escaped": bool(escaped), "detail": repr(detail)[:600]}), flush=True)
        os._exit(0)
    def call(number, *arguments):
        # the result of a system call, negative = its error
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, (bytes, ctypes.Array)) else ctypes.c_long(a) for a in arguments])
        return result if result != -1 else -ctypes.get_errno()
    def tries(act, *arguments):
        # the error of an act, None when it succeeds
        try:
            act(*arguments)
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error.errno))
    def native(code):
        # calls machine code
        import mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(code)
        at = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_long)(at)()
""")


@dataclass(frozen=True)
class Attack:
    name: str
    code: str
    status: Sequence[str] = ("ok",)
    tells: bool = True
    timeout_s: float = 20.0


def _attack(name: str, code: str, *, status: str = "ok", tells: bool = True, timeout_s: float = 20.0) -> Attack:
    return Attack(name, dedent(code), tuple(status.split()), tells, timeout_s)


RESOURCES = (
    _attack(
        "fork bomb",
        """
        made = 0
        while made < 80:
            try:
                if not os.fork():
                    signal.pause()
            except BlockingIOError:
                break
            made += 1
        told(made >= 32, made)
        """,
    ),
    _attack("fork bomb of forks", "while 1: tries(os.fork)", status="timeout", tells=False, timeout_s=1.5),
    _attack(
        "thread bomb",
        """
        made, wait = 0, threading.Event()
        try:
            while made < 200:
                threading.Thread(target=wait.wait, daemon=True).start()
                made += 1
        except RuntimeError:
            pass
        told(made >= 32, made)
        """,
    ),
    _attack("memory bomb", "held = [os.urandom(1 << 20) for _ in range(192)]; told(True, len(held))", status="oom"),
    _attack(
        "memory bomb of children",
        """
        for _ in range(4):
            if not os.fork():
                held = bytearray(os.urandom(1 << 20) * 60)
                time.sleep(1)
                os._exit(0)
        while tries(os.wait) is None: pass
        told(True, "four times 60 MiB")
        """,
        status="oom",
    ),
    _attack(
        "memfd bomb",
        """
        file, piece = os.memfd_create("x"), os.urandom(1 << 20)
        for n in range(192):
            if tries(os.write, file, piece): told(False, n)
        told(True, "192 MiB")
        """,
        status="oom ok",
    ),
    _attack(
        "shared memory bomb",
        """
        import mmap
        shared = mmap.mmap(-1, 192 << 20)
        for at in range(0, 192 << 20, 4096): shared[at] = 1
        told(True, "192 MiB")
        """,
        status="oom",
    ),
    _attack(
        "full /tmp",
        """
        piece, n = bytes(1 << 20), 0
        with open("/tmp/full", "wb", 0) as file:
            while n < 40 and tries(file.write, piece) is None: n += 1
        told(n > 16, n)
        """,
    ),
    _attack(
        "full working directory",
        """
        piece, n = bytes(1 << 20), 0
        with open("full", "wb", 0) as file:
            while n < 90 and tries(file.write, piece) is None: n += 1
        told(n > 64, n)
        """,
    ),
    _attack(
        "full /dev/shm",
        """
        piece, n = bytes(1 << 20), 0
        with open("/dev/shm/full", "wb", 0) as file:
            while n < 40 and tries(file.write, piece) is None: n += 1
        told(n > 16, n)
        """,
    ),
    _attack(
        "inode bomb",
        """
        for n in range(400000):
            if why := tries(os.mknod, f"i{n}"): told(False, (n, why))
        told(True, "400,000 files")
        """,
        status="ok oom",
    ),
    _attack("endless output", "while 1: os.write(2, bytes(65536))", status="output_limit", tells=False),
    _attack(
        "output from many",
        """
        for _ in range(8):
            if not os.fork():
                while 1: os.write(1, b"line\\n" * 1000)
        signal.pause()
        """,
        status="output_limit",
        tells=False,
    ),
    _attack(
        "deaf sleeper",
        """
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(number, signal.SIG_IGN)
        while 1: time.sleep(100)
        """,
        status="timeout",
        tells=False,
        timeout_s=1.0,
    ),
    _attack("stopped", "os.kill(0, signal.SIGSTOP)", status="timeout", tells=False, timeout_s=1.0),
    _attack(
        "hog of all processors",
        """
        for _ in range(7):
            if not os.fork(): break
        while 1: pass
        """,
        status="timeout",
        tells=False,
        timeout_s=1.0,
    ),
    _attack(
        "descriptors",
        """
        n = 0
        while n < 2000 and tries(os.dup, 0) is None: n += 1
        told(n > 256, n)
        """,
    ),
    _attack(
        "raised limits",
        """
        def lifted(kind):
            hard = resource.getrlimit(kind)[1]
            try: resource.setrlimit(kind, (hard, hard + 1))
            except (OSError, ValueError): return False
            return True
        kinds = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 256, resource.RLIMIT_FSIZE: 128 << 20}
        told([kind for kind, hard in kinds.items() if resource.getrlimit(kind)[1] != hard or lifted(kind)])
        """,
    ),
    _attack(
        "daemon",
        """
        if not os.fork():
            os.setsid()
            if not os.fork():
                for n in range(3): os.close(n)
                while 1: time.sleep(0.01)
            os._exit(0)
        os.wait()
        told(False)
        """,
    ),
    _attack(
        "output held by a grandchild",
        """
        if not os.fork():
            os.setsid()
            if not os.fork(): time.sleep(60)
            os._exit(0)
        told(False)
        """,
    ),
)

PRIVILEGES = (
    _attack(
        "user ids",
        """
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        bad = [name for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(status[name], 16)]
        bad += [name for name, good in (("NoNewPrivs", "1"), ("Seccomp", "2")) if status[name] != good]
        bad += [act.__name__ for act in (os.setuid, os.setgid, os.seteuid, os.setegid) if tries(act, 0) is None]
        bad += ["groups"] if tries(os.setgroups, [0]) is None else []
        told(bad, bad)
        """,
    ),
    _attack(
        "suid copy",
        """
        import shutil
        shutil.copy("/usr/bin/id", "mine")
        os.chmod("mine", 0o6755)
        mine = subprocess.run(["./mine", "-u"], capture_output=True, text=True).stdout.strip()
        su = [p for p in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount") if os.path.exists(p)]
        ran = subprocess.run(["/usr/bin/su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout if su else ""
        told(mine == "0" or ran.strip() == "0", (mine, ran))
        """,
    ),
    _attack(
        "capabilities back",
        """
        header, data = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6)
        told(call(126, header, data) == 0 or libc.prctl(47, 2, 21, 0, 0) == 0)
        """,
    ),
    _attack(
        "ptrace",
        """
        # A signal that is delivered to who is traced stops it, and whoever would let it go on may be stopped itself.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        child = os.fork()
        if not child: signal.pause()
        who = (child, os.getppid(), 1)
        got = [call(101, 16, p, 0, 0) for p in who] + [call(101, 0x4206, p, 0, 0) for p in who] + [call(101, 0, 0, 0, 0)]
        got += [call(310, p, ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0) for p in who]
        got += [call(438, os.pidfd_open(child), 0, 0), call(312, os.getpid(), 1, 0, 0, 0)]
        for p in (p for p, r in zip(who, got) if r >= 0):
            os.waitpid(p, 0x40000000)
            call(101, 17, p, 0, 0)
        told(any(r >= 0 for r in got), got)
        """,
    ),
    _attack(
        "/proc writes",
        """
        files = ["sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/hostname", "sys/vm/overcommit_memory", "sys/fs/suid_dumpable",
                 "sys/kernel/randomize_va_space", "sysrq-trigger", "sys/net/ipv4/ip_forward", "irq/default_smp_affinity", "mtrr"]
        reads = ["kcore", "kmsg", "kallsyms", "keys", "1/mem_"]
        got = {f: tries(os.open, "/proc/" + f, os.O_WRONLY) for f in files} | {f: tries(os.open, "/proc/" + f, os.O_RDONLY) for f in reads}
        told(None in got.values(), got)
        """,
    ),
    _attack(
        "host's processes",
        """
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        told(len(pids) > 6 or int(os.environ["ATTACK_PID"]) in pids, pids)
        """,
    ),
    _attack(
        "signals out",
        """
        target = int(os.environ["ATTACK_PID"])
        got = [tries(os.kill, target, signal.SIGKILL), tries(os.killpg, target, signal.SIGKILL), tries(os.pidfd_open, target)]
        told(None in got, got)
        """,
    ),
    _attack(
        "launcher",
        """
        places = ["/proc/1/exe", "/proc/self/exe", "/proc/1/root/usr/bin/env", "/usr/bin/env", f"/proc/{os.getppid()}/exe"]
        told([p for p in places if tries(os.open, p, os.O_WRONLY) is None])
        """,
    ),
    _attack(
        "control group",
        """
        bad = [line for line in open("/proc/self/cgroup") if line.strip().rpartition(":")[2] not in ("/",)]
        os.mkdir("cg")
        bad += [fs for fs in (b"cgroup2", b"cgroup") if libc.mount(b"none", b"cg", fs, 0, b"memory") == 0]
        for top in ("/sys/fs/cgroup", "/proc/1/root/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
            if tries(os.open, top + "/cgroup.procs", os.O_WRONLY) is None: bad.append(top)
        told(bad, bad)
        """,
    ),
    _attack(
        "mounts",
        """
        os.mkdir("m")
        got = [libc.mount(b"none", b"m", b"tmpfs", 0, None), libc.mount(b"/proc", b"m", None, 4096, None), libc.umount2(b"/dev", 2),
               libc.mount(None, b"/", None, 32 | 4096, None), libc.chroot(b"m"), call(155, b"m", b"m"), call(430, b"tmpfs", 0),
               call(428, -100, b"/usr", 1), call(442, -100, b"/", 0, ctypes.create_string_buffer(32), 32), call(304, -100, b"x", 0)]
        told([r for r in got if r >= 0], got)
        """,
    ),
    _attack(
        "new namespaces",
        """
        kinds = (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80)
        got = [libc.unshare(kind) for kind in kinds] + [call(56, kind | 17, 0, 0, 0, 0) for kind in kinds[:-1]]
        got += [call(308, os.pidfd_open(1), 0x10000000), call(435, struct.pack("11Q", 0x10000000, *[0] * 3, 17, *[0] * 6), 88)]
        told([r for r in got if r >= 0], got)
        """,
    ),
    _attack(
        "priorities",
        """
        got = [tries(os.nice, -5), tries(os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(9)), tries(os.setpriority, 0, 0, -1)]
        got += [None if call(251, 1, 0, 1 << 13) == 0 else "no"]
        told(None in got, got)
        """,
    ),
    _attack(
        "core dump",
        """
        child = os.fork()
        if not child:
            try: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
            except ValueError: pass
            os.kill(os.getpid(), signal.SIGSEGV)
        told(os.WCOREDUMP(os.waitpid(child, 0)[1]))
        """,
    ),
)

KERNEL = (
    _attack(
        "key ring",
        "got = [call(248, b'user', b'a', b'b', 1, -2), call(250, 0, -4, 1), call(249, b'user', b'a', 0, 0)]; told([r for r in got if r >= 0], got)",
    ),
    _attack(
        "bpf, perf, io_uring, userfaultfd",
        """
        room = ctypes.create_string_buffer(256)
        perf = struct.pack("IIQ", 1, 128, 0) + bytes(112)
        got = [call(321, 0, struct.pack("IIII", 1, 4, 8, 1) + bytes(56), 72), call(298, perf, 0, -1, -1, 0), call(425, 4, room),
               call(323, 1), call(323, 0), call(426, 0, 0, 0, 0, 0, 0)]
        told([r for r in got if r >= 0], got)
        """,
    ),
    _attack(
        "terminal input",
        """
        import fcntl, termios
        bad = []
        for request in (0x5412, 0x541C, (1 << 32) | 0x5412):
            if call(16, 0, request, b"#") >= 0: bad.append(request)
        try:
            main, side = os.openpty()
            if call(16, side, 0x5412, b"#") >= 0: bad.append("pty")
        except OSError: pass
        told(bad or tries(os.open, "/dev/tty", os.O_RDWR) is None, bad)
        """,
    ),
    _attack(
        "standard input",
        "told(os.read(0, 10) or any(map(os.isatty, range(3))) or os.getsid(0) == 0)",
    ),
    _attack(
        "devices",
        """
        names = "mem port kmsg kvm fuse loop-control vda sda nvme0n1 net/tun uinput hwrng console tty ptmx vhost-vsock vsock mapper/control".split()
        got = {n: tries(os.open, "/dev/" + n, os.O_RDONLY) for n in names}
        got |= {k: tries(os.mknod, "node" + k, mode | 0o600, os.makedev(1, 1)) for k, mode in (("b", stat.S_IFBLK), ("c", stat.S_IFCHR))}
        told(None in got.values(), got)
        """,
    ),
    _attack(
        "clock and names",
        """
        now = time.time()
        got = [tries(time.clock_settime, time.CLOCK_REALTIME, now), tries(socket.sethostname, "mine")]
        got += [None if r >= 0 else r for r in (call(164, struct.pack("qq", int(now), 0), 0), call(159, struct.pack("I", 0x8000) + bytes(204)),
                call(305, 0, struct.pack("I", 1) + bytes(204)), call(171, b"x", 1))]
        told(None in got, got)
        """,
    ),
    _attack(
        "i386 calls",
        # push rbx; mov eax, N; xor ebx, ebx; int 0x80; pop rbx; movsxd rax, eax; ret
        """
        def i386(number): return native(b"\\x53\\xb8" + struct.pack("I", number) + b"\\x31\\xdb\\xcd\\x80\\x5b\\x48\\x63\\xc0\\xc3")
        got = {n: i386(n) for n in (20, 24, 78, 199)}
        told([n for n, r in got.items() if r >= 0], got)
        """,
    ),
    _attack(
        "x32 calls", "got = [call(0x40000000 + n) for n in (39, 102, 24, 110)]; told([r for r in got if r >= 0], got)"
    ),
    _attack(
        "SysV IPC",
        """
        seen = [len(open(f"/proc/sysvipc/{kind}").readlines()) - 1 for kind in ("shm", "msg", "sem")]
        got = [call(29, 0, 4096, 0o1600), call(68, 0, 0o1600), call(64, 0, 1, 0o1600)]
        told(any(seen) or any(r >= 0 for r in got), (seen, got))
        """,
    ),
    _attack(
        "odd calls",
        # swapon, reboot, init_module, kexec_load, acct, quotactl, syslog, personality, open_by_handle_at, name_to_handle_at, fanotify_init, mq_open, modify_ldt
        """
        got = [call(167, b"x", 0), call(169, 0xFEE1DEAD, 672274793, 0, 0), call(175, b"", 0, b""), call(246, 0, 0, 0, 0), call(163, 0),
               call(179, 0, 0, 0, 0), call(103, 3, ctypes.create_string_buffer(64), 64), call(135, 0x0040000), call(304, -100, b"x", 0),
               call(303, -100, b"/", ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 200), ctypes.create_string_buffer(8), 0),
               call(300, 0, 0), call(240, b"x", 0o102, 0o600, 0), call(154, 0, ctypes.create_string_buffer(64), 64), call(9999)]
        told([r for r in got if r >= 0], got)
        """,
    ),
)

REACH = (
    _attack(
        "loopback",
        """
        port = int(os.environ["ATTACK_PORT"])
        got = [tries(socket.create_connection, (host, port), 1) for host in ("127.0.0.1", "127.1", "::1", "::ffff:127.0.0.1", "0.0.0.0")]
        told(None in got, got)
        """,
    ),
    _attack(
        "socket families",
        """
        wanted = [(2, 1, 0), (2, 2, 0), (10, 1, 0), (2, 3, 1), (2, 2, 1), (17, 3, 768), (16, 3, 0), (16, 3, 9), (40, 1, 0), (38, 5, 0), (44, 3, 0),
                  (31, 5, 0), (29, 3, 1), (15, 3, 2), (21, 5, 0)]
        got = {w: call(41, *w) for w in wanted} | {("pair", w): call(53, *w, ctypes.create_string_buffer(8)) for w in ((2, 1, 0), (16, 3, 0))}
        told([w for w, r in got.items() if r >= 0], got)
        """,
    ),
    _attack(
        "abstract socket",
        """
        names = ["\\0" + os.environ["ATTACK_ABSTRACT"], "\\0/tmp/.X11-unix/X0"]
        got = [tries(socket.socket(socket.AF_UNIX).connect, name) for name in names]
        seen = [line for line in open("/proc/net/unix").read().splitlines()[1:] if "@" in line]
        told(None in got or seen, (got, seen))
        """,
    ),
    _attack(
        "unix socket",
        """
        places = [os.environ["ATTACK_SOCK"], "/run/aiops.sock", "/var/run/docker.sock", "/run/systemd/notify", "/run/user/0/bus", "/tmp/.X11-unix/X0"]
        got = [tries(socket.socket(socket.AF_UNIX).connect, place) for place in places]
        told(None in got, got)
        """,
    ),
    _attack(
        "artefacts that lead out",
        """
        os.mkdir("out")
        os.chdir("out")
        open("plain", "w").write("fine")
        for n, target in enumerate(("/etc/shadow", "/etc/hostname", "/proc/1/environ", "../../../../etc/passwd", "/dev/zero", os.environ["ATTACK_FOLDER"])):
            os.symlink(target, f"link{n}")
        os.mkfifo("pipe")
        os.mkdir("folder")
        os.link("plain", "second")
        socket.socket(socket.AF_UNIX).bind("socket")
        open("huge", "wb").truncate(100 << 20)
        open("line\\nbreak", "w").write("odd")
        told(tries(os.link, "/etc/passwd", "hard") is None)
        """,
    ),
    _attack("out is a link", "os.symlink('/etc', 'out'); told(False)"),
    _attack(
        "root file system",
        """
        places = ["/a", "/usr/a", "/usr/lib/a", "/etc/a", "/etc/passwd", "/run/a", "/dev/a", "/var/a", "/proc/a", "/root/a", "/home/a", "/bin/a"]
        got = {p: tries(os.open, p, os.O_WRONLY | os.O_CREAT) for p in places}
        got |= {"chmod": tries(os.chmod, "/usr/bin/env", 0o777), "unlink": tries(os.unlink, "/usr/bin/env"), "folder": tries(os.mkdir, "/new")}
        told(None in got.values(), got)
        """,
    ),
    _attack(
        "host's folder",
        """
        place = os.environ["ATTACK_FOLDER"]
        told(os.path.exists(place) or tries(os.open, place + "/mark", os.O_CREAT | os.O_WRONLY) is None)
        """,
    ),
    _attack(
        "others' files",
        """
        seen = {d: os.listdir(d) for d in ("/tmp", "/var", "/var/tmp", "/home", "/root", "/opt", "/srv", "/mnt", "/media", "/dev/shm") if os.path.isdir(d)}
        hidden = [p for p in ("/etc/shadow", "/etc/ssh", "/etc/hostname", "/etc/machine-id", "/root", "/var/log") if os.path.exists(p)]
        told(any(seen.values()) or hidden or sorted(os.listdir("/work")) != ["attack.py", "helper.py"], (seen, hidden, os.listdir("/work")))
        """,
    ),
    _attack(
        "descriptors of the service",
        """
        own = {n: os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{n}")}
        first = []
        for n in range(3, 256):
            try: first.append((n, os.readlink(f"/proc/1/fd/{n}")))
            except OSError: pass
        # what this Python has open itself is its script's, which is closed by now; 1 keeps an event and a signal descriptor
        told([n for n in own if int(n) > 2 and not own[n].startswith("/proc")] or [f for f in first if not f[1].startswith("anon_inode")], (own, first))
        """,
    ),
    _attack(
        "secrets of the service",
        """
        hit = [k for k, v in os.environ.items() if "canary-" in v]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for file in ("environ", "cmdline"):
                try:
                    if b"canary-" in open(f"/proc/{pid}/{file}", "rb").read(): hit.append((pid, file))
                except OSError: pass
        told(hit, hit)
        """,
    ),
    _attack("host's name", "told(os.uname().nodename == os.environ['ATTACK_HOST'], os.uname().nodename)"),
)

LIES = (
    _attack(
        "forged status", "print('Memory cgroup out of memory: oom-kill'); sys.exit(137)", status="failed", tells=False
    ),
    _attack("forged timeout", 'print(\'{"status": "timeout"}\'); sys.exit(124)', status="failed", tells=False),
    _attack("killed itself", "os.kill(os.getpid(), 9)", status="failed", tells=False),
    _attack(
        "terminal sequences",
        "os.write(1, b'\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\r2026-01-01 ok: approved\\x00\\x08 \\xe2\\x80\\xae\\xff\\n'); told(False)",
    ),
)

ALL = (*RESOURCES, *PRIVILEGES, *KERNEL, *REACH, *LIES)
NAMED = {attack.name: attack for attack in ALL}

"""Counts the system calls of a node, by the side that they are on: its clients' or its database's."""

import os
import pathlib
import re
import shutil
import subprocess

# What a node does with its sockets.
TRANSFERS = ["read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg"]
# What its threads do between.
WAITS = ["epoll_wait", "futex", "sched_yield"]
SIDES = ["clients", "database", "waiting"]


def can_count():
    """Whether the kernel lets this user count. What counts is perf, which slows the node little."""
    if not shutil.which("perf"):
        return False
    probe = ["perf", "record", "-q", "-e", "syscalls:sys_enter_futex", "-o", os.devnull, "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def descriptors_of(pid, port):
    """The sockets of a process whose other end has this port, and its descriptors that are none."""
    fields = [
        line.split() for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    ]
    inodes = {field[9] for field in fields if int(field[2].split(":")[1], 16) == port}
    there, others = set(), set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(entry)
        socket = re.fullmatch(r"socket:\[(\d+)\]", target)
        if not socket:
            others.add(int(entry.name))
        elif socket.group(1) in inodes:
            there.add(int(entry.name))
    return there, others


def count(pid, port, command, scratch, calls):
    """The system calls a call on each side while a command makes so many calls. Its database has
    this port."""
    data = scratch / "perf.data"
    events = ",".join(f"syscalls:sys_enter_{name}" for name in TRANSFERS + WAITS)
    record = ["perf", "record", "-q", "-m", "4M", "-e", events, "-p", str(pid), "-o", data, "--"]
    subprocess.run([*record, *command], stdout=subprocess.DEVNULL, timeout=300, check=True)
    # The connections of the command are gone, those of the pool are there.
    database, others = descriptors_of(pid, port)
    script = ["perf", "script", "-i", data, "-F", "event,trace"]
    lines = subprocess.run(
        script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout
    data.unlink()
    counts = dict.fromkeys(SIDES, 0)
    for name, rest in re.findall(r"sys_enter_(\w+): (.*)", lines):
        if name in WAITS:
            counts["waiting"] += 1
            continue
        descriptor = int(re.match(r"fd: 0x(\w+)", rest).group(1), 16)
        if descriptor in database:
            counts["database"] += 1
        elif descriptor not in others:
            counts["clients"] += 1
    return {side: number / calls for side, number in counts.items()}

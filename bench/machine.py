"""The machine that a run of bench/matrix.py is made on: what it is, and how quiet it is."""

import os
import pathlib
import platform
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def busy():
    """How much of the processors other programs use now, from 0 to 1."""

    def read():
        fields = [int(n) for n in pathlib.Path("/proc/stat").read_text().split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = read()
    time.sleep(1)
    total_now, idle_now = read()
    return 1 - (idle_now - idle) / max(1, total_now - total)


# Reads the clock all the time. Prints how many seconds it lost in gaps longer than 0.2 ms.
READ_CLOCK = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
end, last, lost = time.perf_counter() + float(sys.argv[2]), time.perf_counter(), 0.0
while last < end:
    now = time.perf_counter()
    if now - last > 0.0002:
        lost += now - last
    last = now
print(lost)
"""


def stood_still(seconds):
    """For how much of the time, in percent, a processor of an idle machine stood still: for its
    host, or for a thread other than the only one with work. The sum of all processors, as a call
    goes through threads on each."""
    clocks = [
        subprocess.Popen(
            [sys.executable, "-c", READ_CLOCK, str(processor), str(seconds)],
            stdout=subprocess.PIPE, text=True,
        )
        for processor in os.sched_getaffinity(0)
    ]
    return sum(float(clock.communicate()[0]) for clock in clocks) / seconds * 100


# Sends a byte to a process on another processor and back. Prints how many microseconds it took.
ROUND_TRIP = """
import os, sys, time
here, there = ({int(processor)} for processor in sys.argv[1:3])
there_reads, here_writes = os.pipe()
here_reads, there_writes = os.pipe()
if os.fork() == 0:
    os.sched_setaffinity(0, there)
    os.close(here_writes)
    while byte := os.read(there_reads, 1):
        os.write(there_writes, byte)
    os._exit(0)
os.sched_setaffinity(0, here)
began, times = time.perf_counter(), 20_000
for _ in range(times):
    os.write(here_writes, b"!")
    os.read(here_reads, 1)
print((time.perf_counter() - began) / times * 1e6)
"""


def round_trip():
    """How long a byte takes from the first processor to the last and back, in microseconds. A node
    depends on it more than pgbench does, because its threads hand calls to one another."""
    processors = sorted(os.sched_getaffinity(0))
    ends = [str(processors[0]), str(processors[-1])]
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, *ends], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def describe():
    """What the machine and the version are."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )
    return {
        "processor": model.group(1) if model else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "busy": busy(),
    }

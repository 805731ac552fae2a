"""Measures a node beside pgbench and prints both as ratios. scripts/bench builds and runs it.

Usage: matrix.py PROGRAM [--both] [--quick | --markdown]
"""

import argparse
import contextlib
import glob
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LATEST = RESULTS / "latest.json"
CROWD = 10_000
# Seconds until a node has printed its address; making a cluster takes most of it.
START_LIMIT = 60

# Calls in flight: connections, each with so many; and the bar of the ratio to pgbench.
CALLS = [(1, 1, 0.08), (10, 1, 0.42), (50, 1, 0.50), (200, 1, 0.50), (10, 16, 0.75)]

# What is printed: the key of the figure, its name, its unit, its bar, whether more is better.
FIGURES = [
    *((f"now {c}x{i}", f"now.v1, {c} x {i}", "of pgbench", bar, True) for c, i, bar in CALLS),
    ("echo 50x1", "echo through a WebSocket callee, 50 x 1", "of pgbench", 0.50, True),
    ("refused", "calls answered with an error, of all above", "calls", 0, False),
    ("p99 half", "p99 at 50 connections and half the peak rate", "x p50 of 1 x 1", 10, False),
    ("idle session", f"{CROWD:,} idle sessions, resident memory of each", "KiB", 8, False),
    ("crowded", f"now.v1, 50 x 1, with {CROWD:,} idle sessions", "of before", 0.9, True),
    ("joins", f"{CROWD:,} sessions joining", "joins/s", 8_000, True),
    ("events 100", "1 publisher to 100 subscribers", "events/s", 250_000, True),
    ("events 1000", "1 publisher to 1,000 subscribers", "events/s", 250_000, True),
    ("start", "start to first answered call, database running", "ms", 50, False),
    ("idle memory", "node idle, resident memory", "MiB", 12, False),
    ("idle cpu", "node idle, processor time", "ms/s", 0, False),
]


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def end(process, patience=0):
    """Waits for a process to end, and ends it when it has not by then."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Node:
    """A node on a free port, with a PostgreSQL of its own or that of another node."""

    def __init__(self, program, directory, database=None, paths=None):
        directory.mkdir(exist_ok=True)
        config = json.loads((ROOT / "config.json").read_text())
        router, container = config["workers"]
        router["transports"][0]["endpoint"].update(interface="127.0.0.1", port=0)
        for path in router["transports"][0]["paths"].values():
            if "directory" in path:
                path["directory"] = str(ROOT / "web")
        router["transports"][0]["paths"].update(paths or {})
        component = container["components"][0]
        component["transport"]["url"] = "ws://127.0.0.1:0/ws"
        component["transport"]["endpoint"]["port"] = 0
        self.database = component["extra"]["database"]
        self.database["cp_noisy"] = False
        if database:
            self.database.update(host=database["host"], port=database["port"])
        file = directory / "config.json"
        file.write_text(json.dumps(config))
        arguments = [] if database else ["--embedded-postgres", directory / "postgres"]
        self.log = directory / "log"
        self.started = time.perf_counter()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [program, "start", "--config", file, *arguments],
                stdout=subprocess.PIPE, stderr=log, text=True, cwd=directory,
            )
        try:
            self.learn(database)
        except BaseException:
            self.__exit__()
            raise

    def learn(self, database):
        """Reads where the node and a PostgreSQL of its own are."""
        # One that says nothing is ended, which ends what it prints as well.
        impatience = threading.Timer(START_LIMIT, self.process.kill)
        impatience.start()
        # New connections to the database are told of on the same stream, the first perhaps before.
        said = (re.search(r"ws://\S+", line) for line in self.process.stdout)
        address = next(filter(None, said), None)
        impatience.cancel()
        if not address:
            sys.exit(f"the node does not start, and has {START_LIMIT} s to:\n{self.log.read_text()}")
        self.url = address.group()
        if not database:
            # The log is written by a thread of its own, perhaps later than the address.
            until, runs = time.monotonic() + START_LIMIT, None
            while not runs:
                if time.monotonic() > until:
                    sys.exit(f"the node does not say where its PostgreSQL is:\n{self.log.read_text()}")
                runs = re.search(r"PostgreSQL \S+ runs on (\S+):(\d+)", self.log.read_text())
            self.database.update(host=runs.group(1), port=int(runs.group(2)))

    def resident(self):
        """Resident memory in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def processor_time(self):
        """Processor time so far, in seconds."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        end(self.process, START_LIMIT)


class Bench:
    """The loads, on one program and for so many seconds each."""

    def __init__(self, program, seconds, scratch, both):
        self.program, self.seconds, self.scratch, self.both = program, seconds, scratch, both
        bins = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))
        self.pgbench_program = shutil.which("pgbench") or (bins and bins[-1])
        if not self.pgbench_program:
            sys.exit("pgbench is missing: apt-get install postgresql-contrib")
        self.select = scratch / "select.sql"
        self.select.write_text("SELECT now();\n")

    def run_pgbench(self, database, *options):
        """What pgbench prints about SELECT now()."""
        command = [
            self.pgbench_program, "--no-vacuum", "-M", "prepared", "-f", self.select, *options,
            "-T", str(max(1, round(self.seconds * 0.75))),
            "-h", database["host"], "-p", str(database["port"]), "-U", database["user"],
            database["database"],
        ]
        environment = {**os.environ, "PGPASSWORD": database["password"]}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            sys.exit(f"pgbench fails:\n{done.stderr}{done.stdout}")
        return done.stdout

    def pgbench(self, database):
        """Transactions a second."""
        printed = self.run_pgbench(database, "-c", "10", "-j", "2")
        return float(re.search(r"tps = ([0-9.]+) \(without", printed).group(1))

    def pgbench_latencies(self, database, *options):
        """Of each transaction, in microseconds from when it was due."""
        log = self.scratch / "transactions"
        self.run_pgbench(database, *options, "--log", f"--log-prefix={log}")
        latencies = []
        for file in self.scratch.glob(f"{log.name}.*"):
            latencies += [int(line.split()[2]) for line in file.read_text().splitlines()]
            file.unlink()
        return latencies

    def command(self, node, name, *options):
        slug = re.sub(r"\W+", "-", name)
        files = ["--json", RESULTS / f"{slug}.json", "--plot", RESULTS / f"{slug}.svg"]
        # Awake for the bars: a generator that sleeps would measure how fast the system wakes it as well.
        wait = [] if "--wait" in options else ["--wait", "awake"]
        return [self.program, "bench", "--url", node.url, *files, *wait, *map(str, options)]

    def load(self, node, name, *options, timed=True):
        """The figures of one run of `wampgres bench`."""
        limit = ["--duration", self.seconds] if timed else []
        command = self.command(node, name, *options, *limit)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}\n{node.log.read_text()}")
        run = figures(command)
        if not run["operations"]:
            sys.exit(f"{name}: nothing succeeded while it was measured:\n{done.stdout}")
        return run

    @contextlib.contextmanager
    def crowd(self, node):
        """Sessions that are there and do nothing; what their joining took is filled in after."""
        stay = self.seconds * 2 + 3
        command = self.command(
            node, "joins", "--mode", "connect", "--connections", CROWD, "--duration", stay
        )
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if "ready" not in process.stdout.readline():
                sys.exit(f"{CROWD} sessions do not join:\n{node.log.read_text()}")
            joins = {}
            yield joins
            if process.wait(timeout=120):
                sys.exit(f"the {CROWD} idle sessions did not last:\n{node.log.read_text()}")
            joins.update(figures(command))
        finally:
            end(process)


def figures(command):
    return json.loads(pathlib.Path(command[command.index("--json") + 1]).read_text())


def calls(bench, node, seen):
    """Calls of the database and of an echo, each between two runs of pgbench."""
    loads = [
        (f"now {c}x{i}", ["--connections", c, "--inflight", i]) for c, i, _ in CALLS
    ] + [("echo 50x1", ["--mode", "echo", "--connections", 50])]
    runs, before = {}, bench.pgbench(node.database)
    for name, options in loads:
        runs[name] = bench.load(node, name, *options)
        after = bench.pgbench(node.database)
        rate = runs[name]["per_second"]
        seen.add(name, rate / statistics.mean([before, after]))
        seen.add(f"{name} calls/s", rate)
        seen.add("pgbench tps", after)
        before = after
        if bench.both and name.startswith("now"):
            runs[f"{name} asleep"] = bench.load(node, f"{name} asleep", *options, "--wait", "asleep")
            after = bench.pgbench(node.database)
            rate = runs[f"{name} asleep"]["per_second"]
            seen.add(f"{name} asleep", rate / statistics.mean([before, after]))
            before = after
    errors = [error for run in runs.values() for error in run["errors"].values()]
    seen.add("refused", sum(error["count"] for error in errors))
    quiet = runs["now 1x1"]["latency_us"]["p50"]
    late = at_half(bench, node, runs, "now", [])
    seen.add("p99 half", late / quiet)
    seen.add("p50 1x1 us", quiet)
    seen.add("p99 half us", late)
    seen.add("echo p99 half us", at_half(bench, node, runs, "echo", ["--mode", "echo"]))
    alone = bench.pgbench_latencies(node.database, "-c", "1")
    half = ["-c", "10", "-j", "2", f"--rate={round(before / 2)}"]
    paced = bench.pgbench_latencies(node.database, *half)
    seen.add(
        "pgbench p99 half", statistics.quantiles(paced, n=100)[98] / statistics.median(alone)
    )


def at_half(bench, node, runs, name, options):
    """The p99 at 50 connections and half the rate that they have reached."""
    rate = max(1, round(runs[f"{name} 50x1"]["per_second"] / 2))
    run = bench.load(node, f"{name} half", "--connections", 50, "--rate", rate, *options)
    return run["latency_us"]["p99"]


def events(bench, node, seen):
    for subscribers in (100, 1000):
        options = ["--mode", "pubsub", "--connections", subscribers, "--inflight", 16]
        run = bench.load(node, f"events {subscribers}", *options)
        seen.add(f"events {subscribers}", run["per_second"])


def idle(bench, program, scratch, database, seen):
    """A node of its own: how it starts, what it takes idle, and with a crowd of sessions."""
    with Node(program, scratch / "idle", database) as node:
        bench.load(node, "first", "--calls", 1, timed=False)
        seen.add("start", (time.perf_counter() - node.started) * 1000)
        # What starting has left to do is done by then.
        time.sleep(1)
        before = node.processor_time()
        time.sleep(bench.seconds)
        seen.add("idle cpu", (node.processor_time() - before) / bench.seconds * 1000)
        seen.add("idle memory", node.resident() / 1024)
        options = ["--connections", 50]
        alone = bench.load(node, "now alone", *options)["per_second"]
        memory = node.resident()
        with bench.crowd(node) as joins:
            seen.add("idle session", (node.resident() - memory) / CROWD)
            crowded = bench.load(node, "now crowded", *options)["per_second"]
            seen.add("crowded", crowded / alone)
        seen.add("joins", joins["per_second"])


class Seen:
    """The figures of all rounds."""

    def __init__(self):
        self.values = {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)
        say(f"{name}: {value:,.3f}")


def busy():
    """The part of the processors that others use now."""

    def read():
        fields = [int(n) for n in pathlib.Path("/proc/stat").read_text().split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, waiting = read()
    time.sleep(1)
    total_now, waiting_now = read()
    return 1 - (waiting_now - waiting) / max(1, total_now - total)


# Reads the clock all the time, prints how many seconds it lost in gaps longer than 0.2 ms.
WATCH = """
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
    """The part of the time, in percent, in which a processor stood still on an idle machine: for
    its host, or for another thread than the only one with work. Of all processors together, as a
    call goes through threads on each."""
    watches = [
        subprocess.Popen(
            [sys.executable, "-c", WATCH, str(processor), str(seconds)],
            stdout=subprocess.PIPE, text=True,
        )
        for processor in os.sched_getaffinity(0)
    ]
    return sum(float(watch.communicate()[0]) for watch in watches) / seconds * 100


# Sends a byte to a process on another processor and back, prints the microseconds that took.
CROSS = """
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


def crossing():
    """How long a byte takes from the first processor to the last and back, in microseconds. It
    moves with how fast a node is, whose threads hand calls to one another, more than with pgbench."""
    processors = sorted(os.sched_getaffinity(0))
    ends = [str(processors[0]), str(processors[-1])]
    done = subprocess.run(
        [sys.executable, "-c", CROSS, *ends], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def machine():
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


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(results):
    """The figures beside their bars, as Markdown that reads as plain text too."""
    of = results["machine"]
    yield (
        f"{of['processors']} x {of['processor']}, Linux {of['kernel']}, {of['date']}, "
        f"{of['commit']}; others used {of['busy']:.0%} of the processors when it began; "
        f"{results['rounds']} round(s) of {results['seconds']} s a load."
    )
    yield ""
    values = results["values"]
    rows = [("figure", "bar", "median", "min", "max", "", "calls/s")]
    for key, name, unit, bar, more in FIGURES:
        middle = statistics.median(values[key])
        met = middle >= bar if more else middle <= bar
        rate = values.get(f"{key} calls/s")
        rows.append((
            f"{name} ({unit})", f"{'>=' if more else '<='} {number(bar)}", number(middle),
            number(min(values[key])), number(max(values[key])), "met" if met else "MISSED",
            number(statistics.median(rate)) if rate else "",
        ))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for place, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        if place == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield ""
    tps, latency, late = (
        values[name] for name in ("pgbench tps", "p50 1x1 us", "p99 half us")
    )
    yield (
        f"pgbench: {number(statistics.median(tps))} tps ({number(min(tps))} to "
        f"{number(max(tps))}); p50 of 1 x 1: {number(statistics.median(latency))} us; p99 at half "
        f"the peak rate: {number(statistics.median(late))} us."
    )
    asleep = [
        f"{c} x {i} {number(statistics.median(values[f'now {c}x{i} asleep']))}"
        for c, i, _ in CALLS if f"now {c}x{i} asleep" in values
    ]
    if asleep:
        yield (
            "now.v1 as a client sees it that sleeps while it waits, of pgbench: "
            f"{', '.join(asleep)}."
        )
    echo = values["echo p99 half us"]
    yield (
        "The p99 of echo at 50 connections and half its own peak rate: "
        f"{number(statistics.median(echo))} us ({number(min(echo))} to {number(max(echo))})."
    )
    own = values["pgbench p99 half"]
    yield (
        "The p99 of pgbench itself, 10 connections at half its own tps: "
        f"{number(statistics.median(own))} ({number(min(own))} to {number(max(own))}) x the p50 of "
        "one connection."
    )
    still = values["stood still %"]
    yield (
        "The machine itself, idle, stood still for more than 0.2 ms at a time during "
        f"{number(statistics.median(still))} % of the time ({number(min(still))} to "
        f"{number(max(still))})."
    )
    crossings = values["crossing us"]
    yield (
        "A byte from the first processor to the last and back: "
        f"{number(statistics.median(crossings))} us ({number(min(crossings))} to "
        f"{number(max(crossings))})."
    )


def last_table():
    """The table of the last run."""
    name = LATEST.relative_to(ROOT)
    try:
        return "\n".join(table(json.loads(LATEST.read_text())))
    except FileNotFoundError:
        sys.exit(f"there is no {name}, which a run writes: scripts/bench")
    except KeyError as missing:
        sys.exit(f"{name} is of another version, without {missing}; run again: scripts/bench")


def measure(program, quick, both):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < CROWD + 1000:
        sys.exit(f"{most} open files are too few; as root: ulimit -Hn {CROWD + 1000}")
    RESULTS.mkdir(exist_ok=True)
    rounds, seconds = (1, 1.5) if quick else (3, 5)
    seen, began = Seen(), time.monotonic()
    results = {"machine": machine(), "rounds": rounds, "seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="wampgres-bench-") as directory:
        scratch = pathlib.Path(directory)
        # The server of the private PostgreSQL may run as another user.
        scratch.chmod(0o755)
        with contextlib.ExitStack() as nodes:
            # Nobody calls this one. It has the PostgreSQL, which it reaches over a Unix socket;
            # those that are measured connect over TCP, as pgbench does.
            keeper = nodes.enter_context(Node(program, scratch / "keeper"))
            node = nodes.enter_context(Node(program, scratch / "node", keeper.database))
            bench = Bench(program, seconds, scratch, both)
            for place in range(rounds):
                say(f"round {place + 1} of {rounds}")
                seen.add("stood still %", stood_still(bench.seconds))
                seen.add("crossing us", crossing())
                calls(bench, node, seen)
                events(bench, node, seen)
                idle(bench, program, scratch, node.database, seen)
    results["values"] = seen.values
    LATEST.write_text(json.dumps(results, indent=2) + "\n")
    say(f"{time.monotonic() - began:.0f} s; figures and plots are in {RESULTS.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("program", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--both", action="store_true",
        help="measure now.v1 also with a generator that sleeps while it waits, as most clients do",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="one short round, under a minute")
    which.add_argument(
        "--markdown", action="store_true", help="print the table of the last run again"
    )
    arguments = parser.parse_args()
    # What has been started is ended then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if not arguments.markdown:
        measure(arguments.program.resolve(), arguments.quick, arguments.both)
    print(last_table())


if __name__ == "__main__":
    main()

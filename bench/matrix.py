"""Measures a node beside pgbench and prints both as ratios. scripts/bench builds and runs it.

Usage: matrix.py PROGRAM [--backend BACKEND] [--both] [--quick | --markdown]
"""

import argparse
import contextlib
import glob
import json
import os
import pathlib
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

import machine
import syscalls
from table import BACKENDS, CALLS, COUNTED, IDLE_SESSIONS, IN_FLIGHT, RATES, table

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LATEST = RESULTS / "latest.json"
# How many calls are made while system calls are counted.
COUNTED_CALLS = 20_000
# Seconds until a node has printed its address. Most of it is for making a PostgreSQL cluster.
START_LIMIT = 60


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def end(process, patience=0):
    """Waits so many seconds for a process to end, then kills it."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processor_time(pid):
    """The processor time of a process so far, in seconds."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Node:
    """A node on a free port, with a PostgreSQL of its own or that of another node."""

    def __init__(
        self, program, directory, database=None, paths=None, options=(), backend=BACKENDS[0],
        limits=None, settings=None, edit=None,
    ):
        """`settings` are more of its database; `edit` changes the configuration last."""
        directory.mkdir(exist_ok=True)
        config = json.loads((ROOT / "config.json").read_text())
        router, container = config["workers"]
        router["transports"][0]["endpoint"].update(interface="127.0.0.1", port=0)
        for path in router["transports"][0]["paths"].values():
            if "directory" in path:
                path["directory"] = str(ROOT / "web")
        router["transports"][0]["paths"].update(paths or {})
        if limits:
            config["limits"] = limits
        component = container["components"][0]
        component["transport"]["url"] = "ws://127.0.0.1:0/ws"
        component["transport"]["endpoint"]["port"] = 0
        self.database = component["extra"]["database"]
        self.database.update(cp_noisy=False, backend=backend, **(settings or {}))
        if database:
            self.database.update(host=database["host"], port=database["port"])
        if edit:
            edit(config)
        file = directory / "config.json"
        file.write_text(json.dumps(config))
        arguments = [] if database else ["--embedded-postgres", directory / "postgres"]
        self.log = directory / "log"
        self.started = time.perf_counter()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [program, "start", "--config", file, *arguments, *options],
                stdout=subprocess.PIPE, stderr=log, text=True, cwd=directory,
            )
        try:
            self.learn(database)
        except BaseException:
            self.__exit__()
            raise

    def learn(self, database):
        """Reads the addresses of the node and of a PostgreSQL of its own."""
        # A node that prints no address is killed, which ends its output too.
        timer = threading.Timer(START_LIMIT, self.process.kill)
        timer.start()
        # The node prints new connections to the database as well, the first perhaps before.
        said = (re.search(r"ws://\S+", line) for line in self.process.stdout)
        address = next(filter(None, said), None)
        timer.cancel()
        if not address:
            sys.exit(f"the node does not start, and has {START_LIMIT} s to:\n{self.log.read_text()}")
        self.url = address.group()
        if not database:
            # Another thread writes the log, perhaps later than the address.
            until, runs = time.monotonic() + START_LIMIT, None
            while not runs:
                if time.monotonic() > until:
                    sys.exit(f"the node does not say where its PostgreSQL is:\n{self.log.read_text()}")
                runs = re.search(r"PostgreSQL \S+ runs on (\S+):(\d+)", self.log.read_text())
            self.database.update(host=runs.group(1), port=int(runs.group(2)))

    def resident(self, most=False):
        """Resident memory in KiB, now or at most so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{'VmHWM' if most else 'VmRSS'}:\s+(\d+)", status).group(1))

    def forget_most(self):
        """Has the most memory so far counted from now on."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def processor_time(self):
        """Processor time so far, in seconds."""
        return processor_time(self.process.pid)

    def postgres_time(self):
        """The same of all processes of its own PostgreSQL."""
        [file] = pathlib.Path(self.log.parent).glob("postgres/**/postmaster.pid")
        postmaster = int(file.read_text().split()[0])
        children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        return sum(map(processor_time, [postmaster, *map(int, children.split())]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        end(self.process, START_LIMIT)


class Bench:
    """Runs the loads with one program, each for so many seconds."""

    def __init__(self, program, seconds, scratch, both):
        self.program, self.seconds, self.scratch, self.both = program, seconds, scratch, both
        self.counts = syscalls.can_count()
        bins = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))
        self.pgbench_program = shutil.which("pgbench") or (bins and bins[-1])
        if not self.pgbench_program:
            sys.exit("pgbench is missing: apt-get install postgresql-contrib")
        self.select = scratch / "select.sql"
        self.select.write_text("SELECT now();\n")

    def run_pgbench(self, database, *options, script=None):
        """Runs pgbench with a script, SELECT now() if none is given. Returns what it prints."""
        command = [
            self.pgbench_program, "--no-vacuum", "-M", "prepared", "-f", script or self.select,
            *options, "-T", str(max(1, round(self.seconds * 0.75))),
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

    def pgbench(self, database, script=None):
        """Transactions a second."""
        return self.tps(self.run_pgbench(database, "-c", "10", "-j", "2", script=script))

    @staticmethod
    def tps(printed):
        """The transactions a second that pgbench prints."""
        return float(re.search(r"tps = ([0-9.]+) \(without", printed).group(1))

    def pgbench_latencies(self, database, *options):
        """The latency of each transaction, in microseconds from when it was due."""
        log = self.scratch / "transactions"
        self.run_pgbench(database, *options, "--log", f"--log-prefix={log}")
        latencies = []
        for file in self.scratch.glob(f"{log.name}.*"):
            latencies += [int(line.split()[2]) for line in file.read_text().splitlines()]
            file.unlink()
        return latencies

    def command(self, node, name, *options):
        """The command line of `wampgres bench` that writes its figures under this name."""
        slug = re.sub(r"\W+", "-", name)
        files = ["--json", RESULTS / f"{slug}.json", "--plot", RESULTS / f"{slug}.svg"]
        # The bars are for awake: asleep would also measure how fast the system wakes the generator.
        wait = [] if "--wait" in options else ["--wait", "awake"]
        return [self.program, "bench", "--url", node.url, *files, *wait, *map(str, options)]

    def load(self, node, name, *options, timed=True):
        """The figures of one run of `wampgres bench`."""
        limit = ["--duration", self.seconds] if timed else []
        command = self.command(node, name, *options, *limit)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}\n{node.log.read_text()}")
        run = read_figures(command)
        if not run["operations"]:
            sys.exit(f"{name}: nothing succeeded while it was measured:\n{done.stdout}")
        return run

    @contextlib.contextmanager
    def idle_sessions(self, node):
        """Keeps idle sessions on the node. Yields a dictionary, which has the figures of their joining
        after they have left."""
        stay = self.seconds * 2 + 3
        command = self.command(
            node, "joins", "--mode", "connect", "--connections", IDLE_SESSIONS, "--duration", stay
        )
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if "ready" not in process.stdout.readline():
                sys.exit(f"{IDLE_SESSIONS} sessions do not join:\n{node.log.read_text()}")
            joins = {}
            yield joins
            if process.wait(timeout=120):
                sys.exit(f"the {IDLE_SESSIONS} idle sessions did not last:\n{node.log.read_text()}")
            joins.update(read_figures(command))
        finally:
            end(process)


def read_figures(command):
    """The figures that such a command has written."""
    return json.loads(pathlib.Path(command[command.index("--json") + 1]).read_text())


def calls(bench, nodes, figures):
    """Measures calls of the database and of an echo, each between two runs of pgbench. The backends
    take turns at each load, so that they are compared in the same minute."""
    loads = [
        (f"now {c}x{i}", ["--connections", c, "--inflight", i]) for c, i in CALLS
    ] + [("echo 50x1", ["--mode", "echo", "--connections", 50])]
    database = next(iter(nodes.values())).database
    runs, before = {backend: {} for backend in nodes}, bench.pgbench(database)
    for name, options in loads:
        for backend, node in nodes.items():
            waits = [(name, [])]
            if bench.both and name.startswith("now"):
                waits.append((f"{name} asleep", ["--wait", "asleep"]))
            for key, wait in waits:
                run = bench.load(node, f"{backend} {key}", *options, *wait)
                after = bench.pgbench(database)
                runs[backend][key] = run
                figures[backend].add(key, run["per_second"] / statistics.mean([before, after]))
                figures[backend].add(f"{key} calls/s", run["per_second"])
                figures[backend].add("pgbench tps", after)
                before = after
    for backend, node in nodes.items():
        latencies(bench, node, runs[backend], figures[backend])
        count_system_calls(bench, node, figures[backend])
    alone = bench.pgbench_latencies(database, "-c", "1")
    half = ["-c", "10", "-j", "2", f"--rate={round(before / 2)}"]
    paced = bench.pgbench_latencies(database, *half)
    for backend in nodes:
        figures[backend].add(
            "pgbench p99 half", statistics.quantiles(paced, n=100)[98] / statistics.median(alone)
        )


def latencies(bench, node, runs, figures):
    """What the runs of one backend say of errors and latencies, with those at half their rates."""
    errors = [error for run in runs.values() for error in run["errors"].values()]
    figures.add("refused", sum(error["count"] for error in errors))
    quiet = runs["now 1x1"]["latency_us"]["p50"]
    half_p99 = at_half(bench, node, runs, "now", [])
    figures.add("p99 half", half_p99 / quiet)
    figures.add("p50 1x1 us", quiet)
    figures.add("p99 half us", half_p99)
    figures.add("echo p99 half us", at_half(bench, node, runs, "echo", ["--mode", "echo"]))


def count_system_calls(bench, node, figures):
    """Counts the system calls of calls, where the kernel lets us."""
    if not bench.counts:
        return
    for connections, inflight in COUNTED:
        options = ["--connections", connections, "--inflight", inflight, "--calls", COUNTED_CALLS]
        name = f"counted {connections}x{inflight}"
        command = bench.command(node, name, *options)
        counts = syscalls.count(
            node.process.pid, node.database["port"], command, bench.scratch, COUNTED_CALLS
        )
        for side, number in counts.items():
            figures.add(f"{side} {connections}x{inflight}", number)


def at_rates(bench, nodes, owner, figures):
    """The processor time of a node and of PostgreSQL while calls come at a fixed rate. The generator
    sleeps while it waits, as most clients do."""
    for rate in RATES:
        for backend, node in nodes.items():
            before = node.processor_time(), owner.postgres_time()
            options = ["--connections", 50, "--rate", rate, "--wait", "asleep", "--warmup", 0]
            run = bench.load(node, f"{backend} rate {rate}", *options)
            after = node.processor_time(), owner.postgres_time()
            for who, began, ended in zip(["node", "postgres"], before, after):
                figures[backend].add(f"{who} cpu {rate}", (ended - began) / run["seconds"] * 100)
            figures[backend].add(f"p50 {rate} us", run["latency_us"]["p50"])
            figures[backend].add(f"p99 {rate} us", run["latency_us"]["p99"])


def in_flight(bench, backend, database, figures):
    """How much memory a node takes for so many calls in flight, most of which wait."""
    room = {"queue_limit": 2 * IN_FLIGHT}
    directory = bench.scratch / "in-flight"
    with Node(bench.program, directory, database, backend=backend, settings=room) as node:
        bench.load(node, "first", "--calls", 1, timed=False)
        before = node.resident()
        run = bench.load(node, "in flight", "--connections", 100, "--inflight", IN_FLIGHT // 100)
        figures.add("refused", sum(error["count"] for error in run["errors"].values()))
        figures.add("memory in flight", (node.resident(most=True) - before) / 1024)


def at_half(bench, node, runs, name, options):
    """The p99 of 50 connections at half the rate that they have just reached."""
    rate = max(1, round(runs[f"{name} 50x1"]["per_second"] / 2))
    run = bench.load(node, f"{name} half", "--connections", 50, "--rate", rate, *options)
    return run["latency_us"]["p99"]


def events(bench, node, figures):
    """Measures one publisher to many subscribers."""
    for subscribers in (100, 1000):
        options = ["--mode", "pubsub", "--connections", subscribers, "--inflight", 16]
        run = bench.load(node, f"events {subscribers}", *options)
        figures.add(f"events {subscribers}", run["per_second"])


def idle(bench, backend, database, figures):
    """Measures another node: how it starts, what it uses idle, and what idle sessions change."""
    # All sessions come from one address.
    limits = {"max_connections_per_address": 0}
    with Node(bench.program, bench.scratch / "idle", database, backend=backend, limits=limits) as node:
        bench.load(node, "first", "--calls", 1, timed=False)
        figures.add("start", (time.perf_counter() - node.started) * 1000)
        # By then the node has done what starting has left to do.
        time.sleep(1)
        before = node.processor_time()
        time.sleep(bench.seconds)
        figures.add("idle cpu", (node.processor_time() - before) / bench.seconds * 1000)
        figures.add("idle memory", node.resident() / 1024)
        options = ["--connections", 50]
        alone = bench.load(node, "now alone", *options)["per_second"]
        memory = node.resident()
        with bench.idle_sessions(node) as joins:
            figures.add("idle session", (node.resident() - memory) / IDLE_SESSIONS)
            crowded = bench.load(node, "now crowded", *options)["per_second"]
            figures.add("crowded", crowded / alone)
        figures.add("joins", joins["per_second"])


class Figures:
    """The values of each figure of one backend, or of the machine, one a round."""

    def __init__(self, of):
        self.of, self.values = of, {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)
        say(f"{self.of}, {name}: {value:,.3f}")


def last_table():
    """The table of the last run."""
    name = LATEST.relative_to(ROOT)
    try:
        return "\n".join(table(json.loads(LATEST.read_text())))
    except FileNotFoundError:
        sys.exit(f"there is no {name}, which a run writes: scripts/bench")
    except KeyError as missing:
        sys.exit(f"{name} is of another version, without {missing}; run again: scripts/bench")


def measure(program, quick, both, backends):
    """Runs all rounds and writes their figures."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < IDLE_SESSIONS + 1000:
        sys.exit(f"{most} open files are too few; as root: ulimit -Hn {IDLE_SESSIONS + 1000}")
    RESULTS.mkdir(exist_ok=True)
    rounds, seconds = (1, 1.5) if quick else (3, 5)
    of_machine, began = Figures("machine"), time.monotonic()
    figures = {backend: Figures(backend) for backend in backends}
    results = {"machine": machine.describe(), "rounds": rounds, "seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="wampgres-bench-") as directory:
        scratch = pathlib.Path(directory)
        # The server of the private PostgreSQL may run as another user.
        scratch.chmod(0o755)
        with contextlib.ExitStack() as running:
            # Nobody calls this node. It keeps the PostgreSQL, and reaches it over a Unix socket. The
            # measured nodes connect over TCP, as pgbench does.
            owner = running.enter_context(
                Node(program, scratch / "owner", backend=backends[0])
            )
            nodes = {}
            for backend in backends:
                node = Node(program, scratch / backend, owner.database, backend=backend)
                nodes[backend] = running.enter_context(node)
            bench = Bench(program, seconds, scratch, both)
            if not bench.counts:
                say("system calls are not counted: there is no perf, or not for this user")
            for place in range(rounds):
                say(f"round {place + 1} of {rounds}")
                of_machine.add("stood still %", machine.stood_still(bench.seconds))
                of_machine.add("crossing us", machine.round_trip())
                calls(bench, nodes, figures)
                at_rates(bench, nodes, owner, figures)
                for backend, node in nodes.items():
                    events(bench, node, figures[backend])
                    idle(bench, backend, owner.database, figures[backend])
                    in_flight(bench, backend, owner.database, figures[backend])
    results["values"] = of_machine.values
    results["backends"] = {backend: figures[backend].values for backend in backends}
    LATEST.write_text(json.dumps(results, indent=2) + "\n")
    say(f"{time.monotonic() - began:.0f} s; figures and plots are in {RESULTS.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("program", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--backend", choices=[*BACKENDS, "both"], default=BACKENDS[0],
        help="who speaks with PostgreSQL; both are measured side by side",
    )
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
    # So that everything that has been started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if not arguments.markdown:
        backends = BACKENDS if arguments.backend == "both" else [arguments.backend]
        measure(arguments.program.resolve(), arguments.quick, arguments.both, backends)
    print(last_table())


if __name__ == "__main__":
    main()

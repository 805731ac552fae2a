"""Measures procedures and topics of SQL beside what PostgreSQL's own tools do, and prints the tables.
scripts/bench --sql builds and runs it. The figures and their bars are in sql_table.py.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import machine
from matrix import RESULTS, Bench, Figures, Node, say
from sql_table import LOADS, PACE, PARTS, QUICK, ROWS, STREAMS, SUBSCRIBERS, tables
from subscribers import Subscribers
from table import BACKENDS
from wamp_client import Client

LATEST = RESULTS / "sql.json"

# What is measured on: goods with 6 columns of different types, and orders whose trigger publishes.
SCHEMA = f"""
CREATE TABLE goods (
    id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL,
    changed timestamptz NOT NULL, sold boolean NOT NULL, weight float8 NOT NULL
);
INSERT INTO goods
SELECT n, 'goods ' || n, n % 1000 / 100.0, timestamptz '2026-01-01' + n * interval '1 s',
    n % 2 = 0, n / 7.0
FROM generate_series(1, {ROWS}) AS n;
CREATE TABLE orders (id bigserial PRIMARY KEY, client int NOT NULL, amount int NOT NULL);
CREATE FUNCTION tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wampgres.publish(
        'com.bench.orders',
        args => jsonb_build_array(NEW.id, extract(epoch FROM clock_timestamp()))
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell_order();
"""
PLAIN = "-- @identity false\n"
COLUMNS = "SELECT id, name, price, changed, sold, weight FROM goods"
TEN_ROWS = f"{COLUMNS} WHERE id >= :first ORDER BY id LIMIT 10"
FILES = {
    "now": f"-- @returns value\n{PLAIN}SELECT now()",
    "rows": f"-- @param first int\n{PLAIN}{TEN_ROWS}",
    "stream": f"-- @returns stream\n{PLAIN}{COLUMNS} LIMIT :n",
    "told": f"-- @param first int\n{TEN_ROWS}",
}
INSERT = "INSERT INTO orders (client, amount) VALUES (:client_id, 1);\n"


class Database:
    """The private PostgreSQL, by psql."""

    def __init__(self, settings):
        self.settings = settings
        self.program = shutil.which("psql") or sys.exit("psql is missing: apt-get install postgresql")

    def psql(self, *commands):
        """Runs commands and returns what they print, without decoration."""
        settings = self.settings
        done = subprocess.run(
            [
                self.program, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                "-h", settings["host"], "-p", str(settings["port"]), "-U", settings["user"],
                "-d", settings["database"], *(f"--command={command}" for command in commands),
            ],
            env={**os.environ, "PGPASSWORD": settings["password"]},
            capture_output=True, text=True, check=False,
        )
        if done.returncode:
            sys.exit(f"psql fails:\n{done.stderr}")
        return done.stdout

    def copy(self):
        """How many seconds psql takes for what a stream has, in PostgreSQL's own text format."""
        began = time.perf_counter()
        self.psql(rf"\copy ({COLUMNS} LIMIT {ROWS}) TO '/dev/null'")
        return time.perf_counter() - began


class SqlBench(Bench):
    """The loads of SQL, and what all of them need."""

    def __init__(self, program, seconds, scratch, owner):
        super().__init__(program, seconds, scratch, False)
        self.settings, self.database = owner.database, Database(owner.database)
        self.directory = scratch / "sql"
        self.directory.mkdir()
        for name, text in FILES.items():
            (self.directory / f"{name}.sql").write_text(f"{text}\n")
        self.ten_rows = scratch / "rows.pgbench"
        self.ten_rows.write_text(f"\\set first 500\n{TEN_ROWS};\n")
        self.insert = scratch / "insert.pgbench"
        self.insert.write_text(INSERT)

    def node(self, backend, topics=False, **settings):
        """A node with the procedures, and one pool for all of them and for now.v1."""

        def edit(config):
            [hello] = components = config["workers"][1]["components"]
            config["databases"] = {"main": hello["extra"]["database"]}
            hello["extra"] = {"database": "main"}
            extra = {"database": "main", "directory": str(self.directory), "prefix": "com.bench"}
            if topics:
                extra["topics"] = {"outbox": True}
            components.append({**hello, "classname": "sql.Procedures", "extra": extra})

        return Node(
            self.program, self.scratch / backend, self.settings, backend=backend, edit=edit,
            settings=settings,
        )

    def install(self, node):
        """Installs what SQL publishes with."""
        command = [self.program, "sql-install", "--config", node.log.parent / "config.json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"sql-install fails:\n{done.stdout}{done.stderr}")

    def rate(self, node, name, procedure, *options):
        """Calls a second, none of which may fail."""
        run = self.load(node, name, "--procedure", procedure, *options)
        if run["errors"]:
            sys.exit(f"{name}: {run['errors']}")
        return run["per_second"]


def now(bench, backends, figures):
    """SELECT now() as a file, each run between two of now.v1 with the same backend."""
    with contextlib.ExitStack() as running:
        nodes = {backend: running.enter_context(bench.node(backend)) for backend in backends}
        for connections, inflight in LOADS:
            options = ["--connections", connections, "--inflight", inflight]
            for backend, node in nodes.items():
                key = f"{connections}x{inflight}"
                v1, sql, v1_again = (
                    bench.rate(node, f"{backend} {procedure} {key}", procedure, *options)
                    for procedure in ("com.example.now.v1", "com.bench.now", "com.example.now.v1")
                )
                figures[backend].add(f"now {key}", sql / statistics.mean([v1, v1_again]))
                figures[backend].add(f"now {key} calls/s", sql)


def rows(bench, backends, figures):
    """10 rows of 6 columns, between two runs of pgbench with the same statement, prepared; without
    identity and, as `told`, with it."""
    options = ["--args", "[500]", "--connections", "10", "--inflight", "16"]
    with contextlib.ExitStack() as running:
        nodes = {backend: running.enter_context(bench.node(backend)) for backend in backends}
        before = bench.pgbench(bench.settings, bench.ten_rows)
        for backend, node in nodes.items():
            for name in ("rows", "told"):
                rate = bench.rate(node, f"{backend} {name}", f"com.bench.{name}", *options)
                after = bench.pgbench(bench.settings, bench.ten_rows)
                figures[backend].add(name, rate / statistics.mean([before, after]))
                figures[backend].add(f"{name} calls/s", rate)
                figures[backend].add("rows tps", after)
                before = after


def read_stream(url, count=ROWS):
    """Calls the stream and reads it to its end. Returns how many seconds that took."""
    client = Client(url, "127.0.0.1")
    began, request, got = time.perf_counter(), client.next_request(), 0
    client.send(48, request, {"receive_progress": True}, "com.bench.stream", [count])
    while True:
        message = client.receive_text()
        if not message.startswith(b"[50,"):
            raise RuntimeError(f"the stream fails: {message[:300]}")
        # The rows are not read one by one: the reader shall not be what is measured.
        got += message.count(b'"id":')
        if b'"progress":true' not in message[:100]:
            break
    if got != count:
        raise RuntimeError(f"{got} rows of a stream have come, not {count}")
    client.close()
    return time.perf_counter() - began


def stream(bench, backends, figures):
    """One stream beside psql, then ten of them beside quick calls."""
    for backend in backends:
        # Half of the connections may have streams, so all of them run at once.
        with bench.node(backend, cp_max=2 * STREAMS) as node:
            figure = figures[backend]
            read_stream(node.url, 1000)
            before = bench.database.copy()
            memory = node.resident()
            node.forget_most()
            seconds = read_stream(node.url)
            figure.add("stream memory", (node.resident(most=True) - memory) / 1024)
            copy = statistics.mean([before, bench.database.copy()])
            figure.add("stream", seconds / copy)
            figure.add("stream s", seconds)
            figure.add("copy s", copy)
            streams_and_quick_calls(bench, backend, node, figure)


def streams_and_quick_calls(bench, backend, node, figure):
    """How long quick calls take alone, and beside ten streams that are read as quickly as they come."""

    def quick_calls(name):
        options = ["--connections", 10, "--rate", QUICK, "--wait", "asleep"]
        run = bench.load(node, f"{backend} {name}", "--procedure", "com.bench.now", *options)
        return run["latency_us"]["p99"] / 1000

    figure.add("quick p99", quick_calls("quick alone"))
    memory = node.resident()
    node.forget_most()
    began = time.perf_counter()
    with multiprocessing.Pool(STREAMS) as readers:
        streams = readers.map_async(read_stream, [node.url] * STREAMS, chunksize=1)
        figure.add("quick p99 streams", quick_calls("quick beside streams"))
        if streams.ready():
            sys.exit("the streams ended before the quick calls: nothing was beside them")
        streams.get(timeout=300)
    figure.add("streams rows/s", STREAMS * ROWS / (time.perf_counter() - began))
    figure.add("streams memory", (node.resident(most=True) - memory) / 1024)


def outbox(bench, backends, figures):
    """A trigger that publishes, on a table that 10 clients of pgbench write."""
    for backend in backends:
        # With two nodes at a time there would be twice as many events.
        with bench.node(backend, topics=True) as node:
            bench.install(node)
            figure = figures[backend]
            plain = commits(bench, trigger=False)
            received, with_outbox, ids = publish(bench, node)
            plain = statistics.mean([plain, commits(bench, trigger=False)])
            figure.add("commits", with_outbox / plain)
            figure.add("commits/s plain", plain)
            figure.add("commits/s outbox", with_outbox)
            figure.add("events/s", received.per_second())
            figure.add("lost", received.lost(ids))
            add_delays(figure, "full", received)
            received, _, ids = publish(bench, node, f"--rate={PACE}")
            figure.add("lost", received.lost(ids))
            add_delays(figure, "pace", received)


def commits(bench, *options, trigger):
    """Commits a second of 10 clients, with the trigger or without."""
    does = "ENABLE" if trigger else "DISABLE"
    bench.database.psql("TRUNCATE orders", f"ALTER TABLE orders {does} TRIGGER tell_order")
    printed = bench.run_pgbench(
        bench.settings, "-c", "10", "-j", "2", *options, script=bench.insert
    )
    return bench.tps(printed)


def publish(bench, node, *options):
    """What subscribers get while there are commits, how many there were, and the ids of the rows."""
    subscribers = Subscribers(node.url, "com.bench.orders", SUBSCRIBERS)
    per_second = commits(bench, *options, trigger=True)
    received = subscribers.finish()
    ids = map(int, bench.database.psql("SELECT id FROM orders").split())
    return received, per_second, list(ids)


def add_delays(figure, name, received):
    delays = statistics.quantiles(received.delays(), n=100)
    figure.add(f"delay p50 {name}", delays[49] * 1000)
    figure.add(f"delay p99 {name}", delays[98] * 1000)


MEASURES = {"now": now, "rows": rows, "stream": stream, "outbox": outbox}


def measure(program, rounds, seconds, parts, backends):
    """Runs all rounds of the parts. Their figures replace those of the last run."""
    RESULTS.mkdir(exist_ok=True)
    results = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    of = machine.describe()
    figures = {part: {backend: Figures(backend) for backend in backends} for part in parts}
    with tempfile.TemporaryDirectory(prefix="wampgres-bench-") as directory:
        scratch = pathlib.Path(directory)
        # The server of the private PostgreSQL may run as another user.
        scratch.chmod(0o755)
        # This node keeps the PostgreSQL, and reaches it over a Unix socket; all others over TCP.
        with Node(program, scratch / "owner") as owner:
            bench = SqlBench(program, seconds, scratch, owner)
            with bench.node(backends[0]) as node:
                bench.install(node)
            bench.database.psql(SCHEMA, "VACUUM ANALYZE goods")
            for place in range(rounds):
                say(f"round {place + 1} of {rounds}")
                for part in parts:
                    MEASURES[part](bench, backends, figures[part])
                    values = {backend: figures[part][backend].values for backend in backends}
                    results[part] = {
                        "machine": of, "rounds": place + 1, "seconds": seconds, "backends": values
                    }
                    LATEST.write_text(json.dumps(results, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --sql")
    parser.add_argument("program", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none")
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3, help="how often all is measured")
    parser.add_argument("--seconds", type=float, default=4, help="how long each load is")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="one round, with loads of 1.5 s")
    which.add_argument("--markdown", action="store_true", help="print the last tables again")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    parts = arguments.parts or list(PARTS)
    if not arguments.markdown:
        backends = BACKENDS if arguments.backend == "both" else [arguments.backend]
        length = (1, 1.5) if arguments.quick else (arguments.rounds, arguments.seconds)
        measure(arguments.program.resolve(), *length, parts, backends)
    if not LATEST.exists():
        sys.exit("there are no figures, which a run writes: scripts/bench --sql")
    results = json.loads(LATEST.read_text())
    print("\n".join(tables({part: results[part] for part in parts if part in results})))


if __name__ == "__main__":
    main()

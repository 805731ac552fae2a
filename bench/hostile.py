"""Attacks a node as one anonymous client can (bench/attacks.py), beside a client that behaves: what
that client felt, what the node took, who was dropped. scripts/bench --hostile builds and runs it.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import resource
import statistics
import sys
import tempfile
import threading
import time

from attacks import ATTACKER, ATTACKS, BEHAVED, FEW_FILES, PROCEDURE, idle_sessions
from matrix import Node, say
from wamp_client import Client, Closed

# The longest that the client that behaves may wait for an answer, in milliseconds.
BAR = 50
# How many calls a second it makes.
RATE = 100
# Seconds that the client that behaves is watched for after an attack.
CALM = 10
# Seconds in which the memory has to be back.
BACK = 60
# What clients may make the node hold, in MiB: its memory_limit.
BUDGET = 128
# What the node may take beyond that, in MiB: messages in work are in memory a few times, sessions
# have something of their own, and what is given back is not the system's at once.
OVERHEAD = 64
# So near to what it was the memory has to come back, in MiB.
NEAR = 32
# Seconds that an attack may take.
AT_MOST = 180


def behave(url, notes, stop):
    """The client that behaves, a process of its own: calls RATE times a second and notes when each
    call was due, how long it took from then, and whether it was answered with a result."""
    client, due, times = Client(url, BEHAVED), time.monotonic(), []
    while not stop.is_set():
        time.sleep(max(0, due - time.monotonic()))
        try:
            served = client.call(PROCEDURE)
        except Closed:
            served, client = False, Client(url, BEHAVED)
        times.append((due, time.monotonic() - due, served))
        # After a call that took long the next ones are late already; they are not left out.
        due += 1 / RATE
    notes.write_text(json.dumps(times))


class Behaved:
    """What the client that behaves felt, before, during and after."""

    def __init__(self, url, notes):
        self.notes, self.stop = notes, multiprocessing.Event()
        arguments = (url, notes, self.stop)
        self.process = multiprocessing.Process(target=behave, args=arguments, daemon=True)
        self.process.start()

    def figures(self, begin, end):
        calls = [call for call in json.loads(self.notes.read_text()) if begin <= call[0] < end]
        took = sorted(took * 1000 for _, took, _ in calls)
        if not took:
            return {"calls": 0, "refused": 0, "p50": None, "p99": None, "worst": None}
        return {
            "calls": len(took),
            "refused": sum(not served for _, _, served in calls),
            "p50": round(statistics.median(took), 2),
            "p99": round(took[min(len(took) - 1, int(len(took) * 0.99))], 2),
            "worst": round(took[-1], 2),
        }

    def end(self):
        self.stop.set()
        self.process.join(60)
        if self.process.exitcode != 0:
            self.process.kill()
            sys.exit("the client that behaves has not ended as it should")


class Memory:
    """The node's resident memory in KiB, looked at all the time."""

    def __init__(self, node):
        self.node, self.before, self.ended = node, node.resident(), threading.Event()
        self.peak = self.before
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ended.wait(0.05):
            with contextlib.suppress(OSError, AttributeError):
                self.peak = max(self.peak, self.node.resident())

    def is_back(self):
        return self.node.resident() < self.before + NEAR * 1024

    def end(self, over):
        """Ends the looking once the memory is back, or the time for that is over, which has begun
        at `over`. Before, at the most, and now, in MiB, and how many seconds it was away."""
        while not self.is_back() and time.monotonic() < over + BACK:
            time.sleep(0.5)
        seconds = round(time.monotonic() - over) if self.is_back() else None
        self.ended.set()
        self.thread.join()
        now = self.node.resident()
        names = ("before", "peak", "after")
        figures = {
            name: round(n / 1024, 1) for name, n in zip(names, (self.before, self.peak, now))
        }
        return {**figures, "budget": BUDGET, "back_within": seconds}


def dropped(log):
    """How many clients the log says were dropped, by who they are. It limits its lines about one
    address, so there may be more."""
    addresses = []
    for line in log.splitlines():
        client = re.search(r'client="?\[?(?:::ffff:)?([0-9.]+)', line)
        if "dropping" in line:
            addresses.append(client.group(1) if client else None)
    attackers = addresses.count(ATTACKER)
    nobody = addresses.count(None)
    return {
        "attackers": attackers, "unnamed": nobody, "others": len(addresses) - attackers - nobody
    }


def run(program, attack, io_threads, seconds, scratch):
    """One attack on a node of its own; what it did to the client that behaves and to the node."""
    program = few_files(program, scratch) if attack is idle_sessions else program
    name = f"{attack.__name__}-{io_threads or 'default'}"
    options = ["--io-threads", str(io_threads)] if io_threads else []
    limits = {"memory_limit": BUDGET << 20}
    directory, paths = scratch / name, many_files(scratch)
    with Node(program, directory, paths=paths, options=options, limits=limits) as node:
        behaved = Behaved(node.url, scratch / f"{name}.calls")
        time.sleep(1)
        begin = time.monotonic()
        time.sleep(seconds)
        memory = Memory(node)
        attacked = time.monotonic()
        outcome = outcome_of(attack, node)
        over = time.monotonic()
        time.sleep(CALM)
        behaved.end()
        log = node.log.read_text()
        return {
            "attack": attack.__name__,
            "what": attack.__doc__,
            "io_threads": io_threads,
            "outcome": outcome,
            "seconds": round(over - attacked, 1),
            "before": behaved.figures(begin, attacked),
            "during": behaved.figures(attacked, over + 0.5),
            "after": behaved.figures(over + 0.5, time.monotonic()),
            "memory_mib": memory.end(over),
            "dropped": dropped(log),
            "log_octets": len(log.encode()),
        }


def outcome_of(attack, node):
    """Attacks, in a process of its own, which ends with all its connections."""
    hears, tells = multiprocessing.Pipe(duplex=False)
    attacker = multiprocessing.Process(target=tell, args=(attack, node, tells))
    attacker.start()
    try:
        if hears.poll(AT_MOST):
            return hears.recv()
        return f"the attack did not end within {AT_MOST} s"
    except EOFError:
        return "the attack has failed itself"
    finally:
        attacker.kill()
        attacker.join()


def tell(attack, node, tells):
    try:
        tells.send(attack(node))
    except (Closed, OSError) as error:
        tells.send(f"the node ended it: {error}")


def few_files(program, scratch):
    """The program, with a limit on how many files it may open."""
    limited = scratch / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n {FEW_FILES}\nexec "{program}" "$@"\n')
    limited.chmod(0o755)
    return limited


def many_files(scratch):
    """A path whose listing is long."""
    directory = scratch / "many"
    directory.mkdir(exist_ok=True)
    for number in range(2_500):
        (directory / f"{number}.txt").touch()
    options = {"enable_directory_listing": True}
    return {"many": {"type": "static", "directory": str(directory), "options": options}}


def is_within_budget(memory):
    return memory["peak"] <= memory["before"] + memory["budget"] + OVERHEAD


def missed(row):
    """What of a row is not as it should be."""
    worst = row["during"]["worst"]
    return ", ".join(name for name, is_so in (
        ("SLOW", worst is None or worst > BAR),
        ("REFUSED", row["during"]["refused"] or row["after"]["refused"]),
        ("DROPPED", row["dropped"]["others"] or row["dropped"]["unnamed"]),
        ("MEMORY", not is_within_budget(row["memory_mib"])),
        ("MEMORY KEPT", row["memory_mib"]["back_within"] is None),
        ("LOST", "LOST" in row["outcome"] or "LOCKED OUT" in row["outcome"]),
    ) if is_so)


COLUMNS = (
    ("attack", "", lambda row: row["attack"]),
    ("I/O", "threads", lambda row: row["io_threads"] or "-"),
    ("quiet", "p50", lambda row: row["before"]["p50"]),
    ("", "p99", lambda row: row["before"]["p99"]),
    ("", "worst", lambda row: row["before"]["worst"]),
    ("attacked", "p50", lambda row: row["during"]["p50"]),
    ("", "p99", lambda row: row["during"]["p99"]),
    ("", "worst", lambda row: row["during"]["worst"]),
    ("after", "worst", lambda row: row["after"]["worst"]),
    ("", "refused", lambda row: row["during"]["refused"] + row["after"]["refused"]),
    ("MiB", "before", lambda row: row["memory_mib"]["before"]),
    ("", "peak", lambda row: row["memory_mib"]["peak"]),
    ("", "after", lambda row: row["memory_mib"]["after"]),
    ("", "budget", lambda row: row["memory_mib"]["budget"]),
    ("dropped", "attackers", lambda row: row["dropped"]["attackers"]),
    ("", "others", lambda row: row["dropped"]["others"]),
    ("", "unnamed", lambda row: row["dropped"]["unnamed"]),
    ("log", "KiB", lambda row: round(row["log_octets"] / 1024, 1)),
    ("", "", lambda row: missed(row) or "ok"),
)


def table(rows):
    """The rows as text, a line each, and what else there is to say about them."""
    cells = [[first for first, _, _ in COLUMNS], [second for _, second, _ in COLUMNS]]
    cells += [[str(read(row)) for _, _, read in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    # The name is on the left, the verdict the last; figures are on the right of their columns.
    aligns = ["<", *(">" for _ in COLUMNS[2:]), "<"]
    for line in cells:
        parts = (f"{cell:{align}{width}}" for cell, align, width in zip(line, aligns, widths))
        print("  ".join(parts).rstrip())
    print("\nThe client that behaves calls the database "
          f"{RATE} times a second; its times are in ms, and none may exceed {BAR}.\n"
          f"Clients may make the node hold {BUDGET} MiB. It may take {OVERHEAD} MiB more at the peak, "
          f"and has to be within {NEAR} MiB of what it was within {BACK} s.")
    for row in rows:
        print(f"- {row['what']}, {row['seconds']} s: {row['outcome']}")


def arguments():
    names = {attack.__name__: attack for attack in ATTACKS}
    parser = argparse.ArgumentParser(description=__doc__.replace("\n", " "))
    parser.add_argument("program")
    parser.add_argument(
        "attacks", nargs="*", metavar="ATTACK",
        help=f"any of {', '.join(names)}; all if none is named",
    )
    parser.add_argument(
        "--io-threads", metavar="N[,N...]",
        help="run each attack on nodes with so many I/O threads; the node's default if not given",
    )
    parser.add_argument(
        "--seconds", type=float, default=3, help="how long the quiet before is measured"
    )
    parser.add_argument("--json", metavar="FILE", help="a file for the figures")
    options = parser.parse_args()
    unknown = [name for name in options.attacks if name not in names]
    if unknown:
        parser.error(f"there is no attack {unknown[0]}; there are {', '.join(names)}")
    options.attacks = [names[name] for name in options.attacks or names]
    try:
        options.io_threads = [int(n) for n in (options.io_threads or "0").split(",")]
    except ValueError:
        parser.error("--io-threads takes numbers with commas between them, such as 1,2,4")
    return options


def main():
    options = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    with tempfile.TemporaryDirectory(prefix="wampgres-hostile-") as scratch:
        # The server of the private PostgreSQL may run as another user.
        os.chmod(scratch, 0o755)
        for io_threads in options.io_threads:
            for attack in options.attacks:
                say(attack.__doc__)
                directory = pathlib.Path(scratch)
                rows.append(run(options.program, attack, io_threads, options.seconds, directory))
                say(f"{missed(rows[-1]) or 'ok'}: {rows[-1]['outcome']}")
    table(rows)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))
    failed = dict.fromkeys(row["attack"] for row in rows if missed(row))
    if failed:
        sys.exit(f"not all is well in {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Attacks a node as one anonymous client can, beside a client that behaves, and prints what that
client felt. scripts/bench --hostile builds and runs it.

Usage: hostile.py PROGRAM [ATTACK ...] [--seconds S] [--json FILE]
"""

import argparse
import base64
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import resource
import selectors
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
import urllib.parse

from matrix import Node, say

REALM = "realm1"
MEBIBYTE = 1024 * 1024
# The well-behaved client's worst call, in milliseconds, that no attack may cause to be exceeded.
BAR = 50
# What the well-behaved client does: so many calls a second of this procedure.
RATE = 100
PROCEDURE = "com.example.now.v1"
# Seconds that the memory is watched for after an attack, to see it come back.
CALM = 10


class Closed(Exception):
    """The node has closed the connection."""


class Client:
    """A WAMP client that does as little as it can: bytes in, bytes out, no library between."""

    def __init__(self, url, patience=30):
        address = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
        ).encode())
        self.received = bytearray()
        while b"\r\n\r\n" not in self.received:
            self.fill()
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Closed(head)
        self.received = bytearray(rest)
        self.request = 0
        roles = {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}
        self.send(1, REALM, {"roles": roles})
        self.expect(2)

    def fill(self):
        try:
            received = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not received:
            raise Closed("end of stream")
        self.received += received

    def send(self, *message):
        self.send_raw(frame(json.dumps(message).encode()))

    def send_raw(self, raw):
        try:
            self.socket.sendall(raw)
        except ConnectionError as error:
            raise Closed(str(error)) from error

    def next_request(self):
        self.request += 1
        return self.request

    def receive(self):
        """The next text message; pings are answered."""
        while True:
            frame_of = self.parse()
            if frame_of is None:
                self.fill()
                continue
            opcode, payload = frame_of
            if opcode == 1:
                return json.loads(payload)
            if opcode == 8:
                raise Closed(payload[2:].decode())
            if opcode == 9:
                self.send_raw(frame(payload, 0x8A))

    def parse(self):
        """A whole frame out of what was received, if there is one."""
        buffer = self.received
        if len(buffer) < 2:
            return None
        length, at = buffer[1] & 0x7F, 2
        if length == 126:
            if len(buffer) < 4:
                return None
            length, at = struct.unpack_from("!H", buffer, 2)[0], 4
        elif length == 127:
            if len(buffer) < 10:
                return None
            length, at = struct.unpack_from("!Q", buffer, 2)[0], 10
        if len(buffer) < at + length:
            return None
        opcode, payload = buffer[0] & 0x0F, bytes(buffer[at : at + length])
        del buffer[: at + length]
        return opcode, payload

    def expect(self, code):
        message = self.receive()
        if message[0] != code:
            raise Closed(f"expected {code}, received {str(message)[:300]}")
        return message

    def call(self, procedure, *args):
        """Calls and waits for the answer: whether it is a result."""
        request = self.next_request()
        self.send(48, request, {}, procedure, args)
        while True:
            message = self.receive()
            if message[0] == 50 and message[1] == request:
                return True
            if message[0] == 8 and message[2] == request:
                return False

    def register(self, procedure, **options):
        self.send(64, self.next_request(), options, procedure)
        return self.expect(65)[2]

    def subscribe(self, topic):
        self.send(32, self.next_request(), {}, topic)
        return self.expect(33)[2]

    def close(self):
        self.socket.close()


def frame(payload, first=0x81):
    """A client's frame; the mask is zero, which leaves the bytes as they are."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, length)
    else:
        head = struct.pack("!BBQ", first, 0xFF, length)
    return head + bytes(4) + payload


def text(*message):
    return frame(json.dumps(message).encode())


def behave(url, notes, stop):
    """The well-behaved client, a process of its own: calls RATE times a second and notes when each
    call was due, how long it took from then, and whether it was answered with a result."""
    client, due, times = Client(url), time.monotonic(), []
    while not stop.is_set():
        time.sleep(max(0, due - time.monotonic()))
        try:
            served = client.call(PROCEDURE)
        except Closed:
            served, client = False, Client(url)
        times.append((due, time.monotonic() - due, served))
        # After a call that took long the next ones are late already; they are not left out.
        due += 1 / RATE
    notes.write_text(json.dumps(times))


class Behaved:
    """What the well-behaved client felt, before, during and after."""

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


class Drain:
    """Reads from many connections all the time, on a process of its own, and counts who is lost."""

    def __init__(self, clients):
        self.lost, self.octets = multiprocessing.Value("i", 0), multiprocessing.Value("q", 0)
        self.ending = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.run, args=(clients,), daemon=True)
        self.process.start()

    def run(self, clients):
        selector = selectors.DefaultSelector()
        for client in clients:
            client.socket.setblocking(False)
            selector.register(client.socket, selectors.EVENT_READ)
        while not self.ending.is_set():
            for key, _ in selector.select(0.2):
                try:
                    received = key.fileobj.recv(1 << 18)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    received = b""
                if not received:
                    self.lost.value += 1
                    selector.unregister(key.fileobj)
                self.octets.value += len(received)

    def settle(self, quiet=0.5, at_most=60):
        """Waits until nothing has come for a while."""
        until, before = time.monotonic() + at_most, -1
        while time.monotonic() < until and before != self.octets.value:
            before = self.octets.value
            time.sleep(quiet)

    def end(self):
        self.ending.set()
        self.process.join(10)
        self.process.kill()


def lost(clients):
    """How many of these the node has closed. They are read from, as far as there is something."""
    gone = 0
    for client in clients:
        client.socket.setblocking(False)
        try:
            while client.socket.recv(1 << 20):
                pass
            gone += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            gone += 1
    return gone


def read_answers(client, wanted, seconds=60):
    """How many of these requests are answered, and how; a lost connection ends it."""
    results = errors = 0
    client.socket.settimeout(seconds)
    with contextlib.suppress(Closed, TimeoutError):
        while results + errors < wanted:
            message = client.receive()
            results += message[0] == 50
            errors += message[0] == 8
    return results, errors


def serve_calls(client, work):
    """A callee that works on each call for so many seconds and echoes its arguments."""
    with contextlib.suppress(Closed, OSError):
        while True:
            message = client.receive()
            if message[0] == 68:
                time.sleep(work)
                client.send(70, message[1], {}, *message[4:])


# Each attack: a function of the node that returns what else there is to say.


def burst(node, calls, octets, work):
    callee = Client(node.url)
    callee.register("com.hostile.echo")
    server = multiprocessing.Process(target=serve_calls, args=(callee, work), daemon=True)
    server.start()
    attacker = Client(node.url)
    big = "x" * octets
    sender = threading.Thread(target=send_all, args=(attacker, (
        text(48, request, {}, "com.hostile.echo", [big]) for request in range(1, calls + 1)
    )))
    sender.start()
    results, errors = read_answers(attacker, calls)
    sender.join()
    alive = server.is_alive()
    reached = reaches(node, "com.hostile.echo")
    server.kill()
    return f"{results} results, {errors} errors of {calls}; callee {'there' if alive and reached else 'LOST'}"


def reaches(node, procedure):
    probe = Client(node.url)
    probe.socket.settimeout(30)
    try:
        return probe.call(procedure, "probe")
    except (Closed, TimeoutError):
        return False
    finally:
        probe.close()


def send_all(client, frames):
    with contextlib.suppress(Closed, OSError):
        for raw in frames:
            client.send_raw(raw)


def burst_of_small_calls(node):
    """6,000 CALLs of 10 KB at once, to a callee that works 1 ms on each"""
    return burst(node, 6_000, 10_000, 0.001)


def burst_of_large_calls(node):
    """12 CALLs of 3.9 MB to a callee that echoes"""
    return burst(node, 12, 3_900_000, 0)


def late_reader(node):
    """40 CALLs of 1 MB, whose answers are read two seconds later"""
    callee = Client(node.url)
    callee.register("com.hostile.echo")
    server = multiprocessing.Process(target=serve_calls, args=(callee, 0), daemon=True)
    server.start()
    attacker = Client(node.url)
    big = "x" * 1_000_000
    frames = (text(48, request, {}, "com.hostile.echo", [big]) for request in range(1, 41))
    sender = threading.Thread(target=send_all, args=(attacker, frames))
    sender.start()
    time.sleep(2)
    results, errors = read_answers(attacker, 40)
    sender.join()
    server.kill()
    return f"{results} results, {errors} errors of 40"


def crowd(node, topic, subscribers):
    clients = [Client(node.url) for _ in range(subscribers)]
    for client in clients:
        client.subscribe(topic)
    return clients


def fan_out(node, subscribers, publishes):
    clients = crowd(node, "com.hostile.topic", subscribers)
    drain = Drain(clients)
    attacker = Client(node.url)
    attacker.send_raw(b"".join(
        text(16, request, {}, "com.hostile.topic", ["a" * 20]) for request in range(1, publishes + 1)
    ))
    drain.settle()
    drain.end()
    events = drain.octets.value
    return f"{drain.lost.value} of {subscribers} readers LOST; {events / MEBIBYTE:.0f} MiB of events"


def fan_out_5000(node):
    """1,000 PUBLISHes in one go to 5,000 subscribers"""
    return fan_out(node, 5_000, 1_000)


def fan_out_2000(node):
    """1,000 PUBLISHes in one go to 2,000 subscribers"""
    return fan_out(node, 2_000, 1_000)


def fan_out_500(node):
    """2,000 PUBLISHes in one go to 500 subscribers"""
    return fan_out(node, 500, 2_000)


def flood(node):
    """PUBLISHes for 3 s without a pause to 50 subscribers that read all the time"""
    clients = crowd(node, "com.hostile.topic", 50)
    drain = Drain(clients)
    attacker = Client(node.url)
    until, request = time.monotonic() + 3, 0
    attacker.socket.settimeout(5)
    with contextlib.suppress(Closed, TimeoutError):
        while time.monotonic() < until:
            attacker.send_raw(b"".join(
                text(16, request + n, {}, "com.hostile.topic", ["a"]) for n in range(1, 201)
            ))
            request += 200
    attacker.close()
    drain.settle()
    drain.end()
    return f"{request:,} PUBLISHes taken; {drain.lost.value} of 50 readers LOST"


def deaf_subscribers(node):
    """4 PUBLISHes of 3.9 MB to 200 subscribers that do not read"""
    clients = crowd(node, "com.hostile.topic", 200)
    attacker = Client(node.url)
    for _ in range(4):
        attacker.send(16, attacker.next_request(), {}, "com.hostile.topic", ["x" * 3_900_000])
    time.sleep(5)
    return f"{lost(clients)} of 200 that do not read are dropped"


def unfinished_messages(node):
    """1,000 sessions that leave a message of 3.9 MB unfinished"""
    clients = []
    raw = text(48, 1, {}, "com.hostile.nothing", ["x" * 3_900_000])[:-10]
    with contextlib.suppress(Closed, OSError):
        for _ in range(1_000):
            client = Client(node.url)
            clients.append(client)
            client.socket.settimeout(2)
            with contextlib.suppress(Closed, TimeoutError):
                client.send_raw(raw)
    time.sleep(3)
    return f"{len(clients)} sessions; {lost(clients)} are dropped"


def queued_calls(node):
    """1,000 CALLs of 1 MB for a procedure with a concurrency of 1"""
    callee = Client(node.url)
    callee.register("com.hostile.slow", concurrency=1)
    attacker = Client(node.url)
    attacker.socket.settimeout(5)
    big, sent = "x" * 1_000_000, 0
    with contextlib.suppress(Closed, TimeoutError):
        for request in range(1, 1_001):
            attacker.send_raw(text(48, request, {}, "com.hostile.slow", [big]))
            sent += 1
    return f"{sent} of 1,000 were taken"


def long_topics(node):
    """1,000 SUBSCRIBEs of topics of 3.9 MB on one session, which then ends"""
    attacker = Client(node.url)
    attacker.socket.settimeout(10)
    answers = {}
    with contextlib.suppress(Closed, TimeoutError):
        for request in range(1, 1_001):
            attacker.send(32, request, {}, f"com.hostile.{request}." + "x" * 3_900_000)
            code = attacker.receive()[0]
            answers[code] = answers.get(code, 0) + 1
    attacker.close()
    return f"answers by type: {answers}"


def many_calls(node):
    """3,000 CALLs of the database in flight on one connection, for 3 s"""
    attacker = Client(node.url)
    results = errors = 0
    for _ in range(3_000):
        attacker.send(48, attacker.next_request(), {}, PROCEDURE, [])
    until = time.monotonic() + 3
    while time.monotonic() < until:
        message = attacker.receive()
        results, errors = results + (message[0] == 50), errors + (message[0] == 8)
        attacker.send(48, attacker.next_request(), {}, PROCEDURE, [])
    return f"{results} results, {errors} errors"


def cancel_storm(node):
    """20,000 CALLs of the database with a timeout of 1 ms, 200 at once"""
    attacker = Client(node.url)
    results = errors = 0
    for _ in range(100):
        attacker.send_raw(b"".join(
            text(48, attacker.next_request(), {"timeout": 1}, PROCEDURE, []) for _ in range(200)
        ))
        done = read_answers(attacker, 200)
        results, errors = results + done[0], errors + done[1]
    return f"{results} results, {errors} errors of 20,000"


def listings(node):
    """200 requests for the listing of a folder with 2,500 files"""
    address = urllib.parse.urlsplit(node.url)
    with contextlib.ExitStack() as open_now:
        for _ in range(20):
            peer = socket.create_connection((address.hostname, address.port), timeout=30)
            open_now.enter_context(peer)
            peer.sendall(f"GET /many/ HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode() * 10)
            peer.settimeout(1)
            status = peer.recv(1 << 16).split(b"\r\n")[0]
    return status.decode()


def idle_sessions(node):
    """300 sessions that do nothing, on a node that may open 256 files"""
    sessions = []
    with contextlib.suppress(Closed, OSError):
        for _ in range(300):
            sessions.append(Client(node.url, patience=3))
    try:
        newcomer = "answered" if Client(node.url, patience=3).call(PROCEDURE) else "refused"
    except (Closed, OSError) as error:
        newcomer = f"LOCKED OUT ({error})"
    return f"{len(sessions)} sessions; a newcomer is {newcomer}"


ATTACKS = [
    burst_of_small_calls, burst_of_large_calls, late_reader, fan_out_500, fan_out_2000, fan_out_5000,
    flood, deaf_subscribers, unfinished_messages, queued_calls, long_topics, many_calls,
    cancel_storm, listings, idle_sessions,
]

# So many files a node may open that is attacked by connections.
FEW_FILES = 256


class Memory:
    """The node's resident memory, looked at all the time."""

    def __init__(self, node):
        self.node, self.peak, self.ended = node, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ended.wait(0.05):
            with contextlib.suppress(OSError, AttributeError):
                self.peak = max(self.peak, self.node.resident())

    def end(self):
        self.ended.set()
        self.thread.join()


def run(program, attack, seconds, scratch):
    """One attack on a node of its own; what it did to the client that behaves and to the node."""
    program = few_files(program, scratch) if attack is idle_sessions else program
    with Node(program, scratch / attack.__name__, paths=many_files(scratch)) as node:
        behaved = Behaved(node.url, scratch / f"{attack.__name__}.calls")
        time.sleep(1)
        begin = time.monotonic()
        time.sleep(seconds)
        before = node.resident()
        memory = Memory(node)
        attacked = time.monotonic()
        # In a process of its own, which ends with all its connections.
        hears, tells = multiprocessing.Pipe(duplex=False)
        attacker = multiprocessing.Process(target=tell, args=(attack, node, tells))
        attacker.start()
        in_time = hears.poll(180)
        outcome = hears.recv() if in_time else "the attacker did not end in time"
        attacker.kill()
        attacker.join()
        over = time.monotonic()
        time.sleep(CALM)
        memory.end()
        behaved.end()
        log = node.log.read_text()
        return {
            "attack": attack.__name__,
            "what": attack.__doc__,
            "outcome": outcome,
            "seconds": round(over - attacked, 1),
            "before": behaved.figures(begin, attacked),
            "during": behaved.figures(attacked, over + 0.5),
            "after": behaved.figures(over + 0.5, time.monotonic()),
            "memory_mib": {
                "before": round(before / 1024, 1),
                "peak": round(memory.peak / 1024, 1),
                "after": round(node.resident() / 1024, 1),
            },
            "dropped_in_log": len(re.findall(r"dropping a client", log)),
            "log_octets": len(log),
        }


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


def tell(attack, node, tells):
    try:
        tells.send(attack(node))
    except (Closed, OSError) as error:
        tells.send(f"the node ended it: {error}")


def table(rows):
    print("| attack | p50 before | p50 | p99 | worst during | worst after | refused | memory MiB before, peak, after | outcome |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        during, memory = row["during"], row["memory_mib"]
        worst = during["worst"]
        mark = "" if worst is not None and worst <= BAR else " MISSED"
        print(
            f"| {row['what']} | {row['before']['p50']} | {during['p50']} | {during['p99']} "
            f"| {worst}{mark} | {row['after']['worst']} | {during['refused']} "
            f"| {memory['before']}, {memory['peak']}, {memory['after']} | {row['outcome']} |"
        )


def main():
    names = {attack.__name__: attack for attack in ATTACKS}
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"any of {', '.join(names)}; all if none is named")
    parser.add_argument("--seconds", type=float, default=3, help="how long the quiet before is measured")
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    unknown = [name for name in options.attacks if name not in names]
    if unknown:
        parser.error(f"there is no attack {unknown[0]}; there are {', '.join(names)}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    with tempfile.TemporaryDirectory(prefix="wampgres-hostile-") as scratch:
        # The server of the private PostgreSQL may run as another user.
        os.chmod(scratch, 0o755)
        for name in options.attacks or names:
            attack = names[name]
            say(attack.__doc__)
            rows.append(run(options.program, attack, options.seconds, pathlib.Path(scratch)))
            say(json.dumps(rows[-1]))
    table(rows)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))
    if any(row["during"]["worst"] is None or row["during"]["worst"] > BAR for row in rows):
        sys.exit(f"the client that behaves waited longer than {BAR} ms")


if __name__ == "__main__":
    main()

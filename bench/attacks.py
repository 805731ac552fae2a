"""What one anonymous client can do to a node, attack by attack; bench/hostile.py runs them. Attackers
connect from an address of their own, all others from elsewhere, so a log tells who was dropped.
"""

import contextlib
import multiprocessing
import selectors
import socket
import threading
import time
import urllib.parse

from wamp_client import Client, Closed, text

MEBIBYTE = 1024 * 1024
# What the client that behaves calls, and some of the attacks.
PROCEDURE = "com.example.now.v1"
# Where attackers connect from, and where the client that behaves does. The whole of 127.0.0.0/8 is
# this machine.
ATTACKER = "127.0.0.2"
BEHAVED = "127.0.0.1"
# Where newcomers come from.
BYSTANDER = "127.0.0.3"


def attacker_of(node):
    return Client(node.url, ATTACKER)


def bystanders(node, number):
    """Clients that behave, 50 an address: a node may limit how many come from one."""
    return [Client(node.url, f"127.0.1.{1 + n // 50}") for n in range(number)]


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
    [callee] = bystanders(node, 1)
    callee.register("com.hostile.echo")
    server = multiprocessing.Process(target=serve_calls, args=(callee, work), daemon=True)
    server.start()
    attacker = attacker_of(node)
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
    callee_is = "there" if alive and reached else "LOST"
    return f"{results} results, {errors} errors of {calls}; callee {callee_is}"


def reaches(node, procedure):
    [probe] = bystanders(node, 1)
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
    [callee] = bystanders(node, 1)
    callee.register("com.hostile.echo")
    server = multiprocessing.Process(target=serve_calls, args=(callee, 0), daemon=True)
    server.start()
    attacker = attacker_of(node)
    big = "x" * 1_000_000
    frames = (text(48, request, {}, "com.hostile.echo", [big]) for request in range(1, 41))
    sender = threading.Thread(target=send_all, args=(attacker, frames))
    sender.start()
    time.sleep(2)
    results, errors = read_answers(attacker, 40)
    sender.join()
    server.kill()
    return f"{results} results, {errors} errors of 40"


def readers_of(node, topic, subscribers):
    clients = bystanders(node, subscribers)
    for client in clients:
        client.subscribe(topic)
    return clients


def readers_lost(drain, readers):
    gone = drain.lost.value
    return f"{gone} of {readers} readers LOST" if gone else f"all {readers} readers there"


def fan_out(node, subscribers, publishes):
    clients = readers_of(node, "com.hostile.topic", subscribers)
    drain = Drain(clients)
    attacker = attacker_of(node)
    attacker.send_raw(b"".join(
        text(16, request, {}, "com.hostile.topic", ["a" * 20]) for request in range(1, publishes + 1)
    ))
    drain.settle()
    drain.end()
    events = drain.octets.value
    return f"{readers_lost(drain, subscribers)}; {events / MEBIBYTE:.0f} MiB of events"


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
    clients = readers_of(node, "com.hostile.topic", 50)
    drain = Drain(clients)
    attacker = attacker_of(node)
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
    return f"{request:,} PUBLISHes taken; {readers_lost(drain, 50)}"


def flood_from_many(node):
    """PUBLISHes for 3 s without a pause from 200 connections to 500 subscribers that read all the time"""
    clients = readers_of(node, "com.hostile.topic", 500)
    drain = Drain(clients)
    attackers = [attacker_of(node) for _ in range(200)]
    publishes = text(16, 1, {}, "com.hostile.topic", ["a"]) * 100
    taken = dict.fromkeys(attackers, 0)
    selector = selectors.DefaultSelector()
    for attacker in attackers:
        attacker.socket.setblocking(False)
        selector.register(attacker.socket, selectors.EVENT_WRITE, attacker)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for key, _ in selector.select(0.1):
            # A write may end within a message, and the next one goes on there.
            at = taken[key.data] % len(publishes)
            try:
                taken[key.data] += key.fileobj.send(publishes[at:])
            except BlockingIOError:
                pass
            except ConnectionError:
                selector.unregister(key.fileobj)
    for attacker in attackers:
        attacker.close()
    # What the kernel has taken of their PUBLISHes would take the node longer than this.
    drain.settle(at_most=20)
    drain.end()
    octets = drain.octets.value / MEBIBYTE
    return (f"{sum(taken.values()) / MEBIBYTE:.0f} MiB of PUBLISHes taken, {octets:.0f} MiB of events; "
            f"{readers_lost(drain, 500)}")


def deaf_subscribers(node):
    """4 PUBLISHes of 3.9 MB to 200 subscribers that do not read"""
    clients = [attacker_of(node) for _ in range(200)]
    for client in clients:
        client.subscribe("com.hostile.topic")
    attacker = attacker_of(node)
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
            client = attacker_of(node)
            clients.append(client)
            client.socket.settimeout(2)
            with contextlib.suppress(Closed, TimeoutError):
                client.send_raw(raw)
    time.sleep(3)
    return f"{len(clients)} sessions; {lost(clients)} are dropped"


def queued_calls(node):
    """1,000 CALLs of 1 MB for a procedure with a concurrency of 1"""
    # It answers nothing, and so it belongs to the attack.
    callee = attacker_of(node)
    callee.register("com.hostile.slow", concurrency=1)
    attacker = attacker_of(node)
    attacker.socket.settimeout(5)
    big, sent = "x" * 1_000_000, 0
    with contextlib.suppress(Closed, TimeoutError):
        for request in range(1, 1_001):
            attacker.send_raw(text(48, request, {}, "com.hostile.slow", [big]))
            sent += 1
    return f"{sent} of 1,000 were taken"


def long_topics(node):
    """1,000 SUBSCRIBEs of topics of 3.9 MB on one session, which then ends"""
    attacker = attacker_of(node)
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
    attacker = attacker_of(node)
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
    attacker = attacker_of(node)
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
            peer = socket.create_connection(
                (address.hostname, address.port), timeout=30, source_address=(ATTACKER, 0)
            )
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
            sessions.append(Client(node.url, ATTACKER, patience=3))
    try:
        newcomer = "answered" if Client(node.url, BEHAVED, patience=3).call(PROCEDURE) else "refused"
    except (Closed, OSError) as error:
        newcomer = f"LOCKED OUT ({error})"
    return f"{len(sessions)} sessions; a newcomer is {newcomer}"


def many_connections(node):
    """sessions of one address until it is refused, and 3 s of further tries, silent connections too"""
    sessions, refused, silent = [], 0, []
    try:
        for _ in range(20_000):
            sessions.append(Client(node.url, ATTACKER, patience=10))
    except (Closed, OSError):
        refused += 1
    address, newcomers, until = urllib.parse.urlsplit(node.url), 0, time.monotonic() + 3
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            silent.append(socket.create_connection(
                (address.hostname, address.port), 3, source_address=(ATTACKER, 0)
            ))
        try:
            Client(node.url, ATTACKER, patience=3).close()
        except (Closed, OSError):
            refused += 1
        try:
            newcomer = Client(node.url, BYSTANDER, patience=3)
            newcomer.call(PROCEDURE)
            newcomer.close()
            newcomers += 1
        except (Closed, OSError) as error:
            return f"{len(sessions):,} sessions; a newcomer is LOCKED OUT ({error})"
    gone = lost(sessions)
    kept = f"{gone} sessions LOST" if gone else "all kept"
    return (f"{len(sessions):,} sessions, {kept}; {refused:,} refused, {len(silent):,} silent; "
            f"{newcomers:,} newcomers from elsewhere are answered")


ATTACKS = [
    burst_of_small_calls, burst_of_large_calls, late_reader, fan_out_500, fan_out_2000, fan_out_5000,
    flood, flood_from_many, deaf_subscribers, unfinished_messages, queued_calls, long_topics, many_calls,
    cancel_storm, listings, idle_sessions, many_connections,
]

# So many files a node may open that is attacked by connections.
FEW_FILES = 256

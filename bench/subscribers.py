"""Subscribers that take each event as quickly as they can, for bench/sql.py: what they have got, and when.

All subscribers of a topic get the same bytes in the same order. So only the bytes of the first one are kept
and read, after the load; of the others a checksum, and how much had come when."""

import json
import selectors
import threading
import time
import zlib

from wamp_client import Client

# Seconds without a byte after which no more events are waited for.
SILENCE = 3
# So many events of each subscriber are asked for their delay.
SAMPLES = 5_000


class Subscriber:
    """One session with one subscription, and what has come since."""

    def __init__(self, url, topic):
        self.client = Client(url, "127.0.0.1")
        self.client.subscribe(topic)
        self.client.socket.setblocking(False)
        self.received, self.checksum, self.arrivals = 0, 0, []

    def take(self, view, keep):
        """Takes what has come. Returns whether the connection is still there."""
        try:
            length = self.client.socket.recv_into(view)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if length:
            self.received += length
            self.checksum = zlib.crc32(view[:length], self.checksum)
            self.arrivals.append((time.time(), self.received))
            if keep is not None:
                keep += view[:length]
        return length > 0


class Subscribers:
    """So many subscribers of a topic. A thread takes their events until `finish`."""

    def __init__(self, url, topic, count):
        self.all = [Subscriber(url, topic) for _ in range(count)]
        self.kept, self.last, self.ending = bytearray(), time.monotonic(), False
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        ready = selectors.DefaultSelector()
        for subscriber in self.all:
            ready.register(subscriber.client.socket, selectors.EVENT_READ, subscriber)
        view = memoryview(bytearray(1 << 20))
        while not (self.ending and time.monotonic() > self.last + SILENCE):
            for key, _ in ready.select(0.1):
                first = key.data is self.all[0]
                if key.data.take(view, self.kept if first else None):
                    self.last = time.monotonic()
                else:
                    # The node has closed it. What it has lost shows in its checksum.
                    ready.unregister(key.fileobj)

    def finish(self):
        """Waits until no more comes, and says what came."""
        self.last, self.ending = time.monotonic(), True
        self.thread.join()
        for subscriber in self.all:
            subscriber.client.close()
        return Received(self.all, self.kept)


class Received:
    """What subscribers have got. Each event has an id and the time of its INSERT as its arguments."""

    def __init__(self, subscribers, kept):
        first, total = subscribers[0], len(kept)
        self.same = [one for one in subscribers if one.checksum == first.checksum]
        self.others = len(subscribers) - len(self.same)
        self.events = []
        first.client.received = kept
        while frame := first.client.parse():
            identifier, inserted = json.loads(frame[1])[4]
            self.events.append((identifier, inserted, total - len(first.client.received)))

    def lost(self, ids):
        """How many events are missing, doubled or of nobody. A subscriber that got other bytes than
        the first counts with all, because nobody has looked which they were."""
        got = [identifier for identifier, _, _ in self.events]
        wrong = len(set(ids) ^ set(got)) + len(got) - len(set(got))
        return len(self.same) * wrong + self.others * len(ids)

    def per_second(self):
        """Events of all subscribers a second, from the first to the last."""
        began = min(one.arrivals[0][0] for one in self.same)
        ended = max(one.arrivals[-1][0] for one in self.same)
        return len(self.events) * len(self.same) / (ended - began)

    def delays(self):
        """Seconds from the trigger to the subscriber, of some events at each of them."""
        some = self.events[:: max(1, len(self.events) // SAMPLES)]
        for subscriber in self.same:
            arrivals = iter(subscriber.arrivals)
            came, offset = next(arrivals)
            for _, inserted, end in some:
                while offset < end:
                    came, offset = next(arrivals)
                yield came - inserted

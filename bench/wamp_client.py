"""A WAMP client of its own for bench/attacks.py and bench/sql.py, and frames ready to be sent."""

import base64
import json
import os
import socket
import struct
import urllib.parse

REALM = "realm1"


class Closed(Exception):
    """The node has closed the connection."""


class Client:
    """A WAMP client that does as little as it can: bytes in, bytes out, no library between."""

    def __init__(self, url, source, patience=30):
        """`source` is the address to connect from."""
        address = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection(
            (address.hostname, address.port), patience, source_address=(source, 0)
        )
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
        """The next message."""
        return json.loads(self.receive_text())

    def receive_text(self):
        """The text of the next message; pings are answered."""
        while True:
            frame_of = self.parse()
            if frame_of is None:
                self.fill()
                continue
            opcode, payload = frame_of
            if opcode == 1:
                return payload
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

"""A small MQTT 3.1.1 client that comes back by itself, for the acceptance scripts. Standard library only."""
import os
import select
import socket
import threading
import time


class Refused(ConnectionError):
    """The broker says no."""


def text(words):
    data = words.encode()
    return len(data).to_bytes(2, "big") + data


def packet(head, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([head]) + length + body


class Client(threading.Thread):
    """Subscribes to `filters` with QoS 1, keeps its session, and connects again 0.1 s after each loss.

    `messages` has (time, topic, retained, payload) of all that came; `up_since` the time of the last SUBACK, None
    without a connection, `ups` all such times; `kept` whether the broker still had the session then."""

    def __init__(self, port, filters=(), user=None, password=None, clean=False, client_id=None, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.where, self.filters, self.user, self.password, self.clean = (host, port), filters, user, password, clean
        self.client_id = client_id or f"lab{os.urandom(6).hex()}"
        self.messages, self.up_since, self.ups, self.kept, self.acks = [], None, [], None, set()
        self.socket, self.stopped, self.number, self.sending = None, False, 100, threading.Lock()
        self.start()

    def run(self):
        while not self.stopped:
            try:
                self.serve()
            except (OSError, IndexError):
                pass
            self.up_since = None
            time.sleep(0.1)

    def serve(self):
        with socket.create_connection(self.where, 3) as self.socket:
            self.socket.settimeout(8)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            login = text(self.user) + text(self.password) if self.user else b""
            flags = (0xC0 if self.user else 0) | (2 if self.clean else 0)
            self.send(packet(0x10, text("MQTT") + bytes([4, flags, 0, 20]) + text(self.client_id) + login))
            _, answer = self.receive()
            if answer[1]:
                raise Refused(f"CONNACK {answer[1]}")
            self.kept = bool(answer[0] & 1)
            if self.filters:
                self.send(packet(0x82, b"\0\1" + b"".join(text(f) + b"\1" for f in self.filters)))
            else:
                self.is_up()
            while not self.stopped:
                while not select.select([self.socket], [], [], 4)[0]:
                    self.send(b"\xc0\0")
                self.take(*self.receive())

    def is_up(self):
        self.up_since = time.time()
        self.ups.append(self.up_since)

    def take(self, head, body):
        if head >> 4 == 9:
            if any(code >= 0x80 for code in body[2:]):
                raise Refused("SUBACK")
            self.is_up()
        elif head >> 4 == 4:
            self.acks.add(int.from_bytes(body[:2], "big"))
        elif head >> 4 == 3:
            end = 2 + int.from_bytes(body[:2], "big")
            begin = end + (2 if head & 6 else 0)
            self.messages.append((time.time(), body[2:end].decode(), bool(head & 1), body[begin:]))
            if head & 6:
                self.send(packet(0x40, body[end:begin]))

    def send(self, data):
        with self.sending:
            self.socket.sendall(data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return data

    def receive(self):
        head, length, shift = self.exactly(1)[0], 0, 0
        while True:
            digit = self.exactly(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return head, self.exactly(length)

    def publish(self, topic, payload, retain=False):
        """Its number, which is in `acks` once the broker has it."""
        self.number += 1
        self.send(packet(0x32 | retain, text(topic) + self.number.to_bytes(2, "big") + payload.encode()))
        return self.number

    def of(self, end, since=0):
        """What came on topics that end so, as (time, topic, retained, payload)."""
        return [message for message in list(self.messages) if message[1].endswith(end) and message[0] >= since]

    def stop(self):
        self.stopped = True
        if self.socket:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.join(10)

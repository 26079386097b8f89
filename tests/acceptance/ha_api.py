"""WebSockets, and a small client of Home Assistant's API over one, for the acceptance scripts. Standard library only."""
import base64
import itertools
import json
import os
import socket
import struct


class WebSocket:
    """JSON messages over a WebSocket."""

    def __init__(self, where, path):
        host, port = where.split(":")
        self.socket = socket.create_connection((host, int(port)), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {where}\r\nUpgrade: websocket\r\nConnection: "
                             f"Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.more()
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the other end closed the connection")
        return data

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, message):
        data, mask = json.dumps(message).encode(), os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data)) \
            if len(data) < 65536 else b"\xff" + struct.pack(">Q", len(data))
        self.socket.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        text = b""
        while True:
            first, length = self.take(2)
            length = {126: lambda: struct.unpack(">H", self.take(2))[0],
                      127: lambda: struct.unpack(">Q", self.take(8))[0]}.get(length & 127, lambda: length & 127)()
            data = self.take(length)
            if first & 15 in (0, 1):
                text += data
                if first & 0x80:
                    return json.loads(text)


class HomeAssistant:
    """`ha(type, **fields)` sends a command and returns its result."""

    def __init__(self, where, token):
        self.where, self.token, self.socket, self.ids = where, token, None, itertools.count(1)

    def connect(self):
        self.socket, self.ids = WebSocket(self.where, "/api/websocket"), itertools.count(1)
        self.socket.receive()
        self.socket.send({"type": "auth", "access_token": self.token})
        if self.socket.receive()["type"] != "auth_ok":
            raise SystemExit("Home Assistant does not take the token")

    def __call__(self, kind, **arguments):
        for attempt in (1, 2):
            try:
                if self.socket is None:
                    self.connect()
                number = next(self.ids)
                self.socket.send({"id": number, "type": kind, **arguments})
                while (answer := self.socket.receive()).get("id") != number or answer["type"] != "result":
                    pass
                break
            except OSError:
                self.socket = None
                if attempt == 2:
                    raise
        if not answer["success"]:
            raise RuntimeError(f"{kind}: {answer['error']}")
        return answer["result"]

    def entities(self):
        """unique_id -> registry entry with its state object, of the MQTT integration."""
        states = {state["entity_id"]: state for state in self("get_states")}
        entries = [entry for entry in self("config/entity_registry/list") if entry["platform"] == "mqtt"]
        return {entry["unique_id"]: {**entry, "state": states.get(entry["entity_id"])} for entry in entries}

    def devices(self):
        return {pair[1]: device for device in self("config/device_registry/list")
                for pair in device["identifiers"] if pair[0] == "mqtt"}

#!/usr/bin/env python3
"""An NRI plugin without anybody's library: frames in frames, and just enough protobuf.

As a module it is what the tests talk to; as a program it is a plugin that a daemon starts itself,
which appends its events to the file that its configuration names."""
import os
import queue
import socket
import struct
import sys
import threading

PLUGIN, RUNTIME = 1, 2  # connections of the mux: calls to the plugin, calls to the runtime
EVENTS = ("", "RunPodSandbox", "StopPodSandbox", "RemovePodSandbox", "CreateContainer", "PostCreateContainer",
          "StartContainer", "PostStartContainer", "UpdateContainer", "PostUpdateContainer", "StopContainer",
          "RemoveContainer")


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def pack(*fields):
    """(number, value): an int, text, bytes, or a tuple or list of such pairs."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
            continue
        if isinstance(value, (tuple, list)):
            value = pack(*value)
        data = value.encode() if isinstance(value, str) else value
        out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def unpack(data):
    """Number → values, in order; messages stay bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            n |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            n = 8 if key & 7 == 1 else number()
            value, at = data[at:at + n], at + n
        found.setdefault(key >> 3, []).append(value)
    return found


def text(message, number):
    return message.get(number, [b""])[0].decode()


def inner(message, number):
    return unpack(message.get(number, [b""])[0])


class Plugin:
    """answers: method → function of the decoded request, giving the packed response."""

    def __init__(self, sock, index="10", name="test", answers=None, events=0, register=True):
        self.sock, self.answers, self.mask = sock, answers or {}, events
        self.events = []  # (name, pod id, container id)
        self.requests = {}  # the last of each method, decoded
        self.replies, self.buffers = queue.Queue(), {PLUGIN: b"", RUNTIME: b""}
        self.ready, self.gone, self.lock = threading.Event(), threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        if register:
            self.call("RegisterPlugin", pack((1, name), (2, index)))

    @classmethod
    def connect(cls, path, *args, **kw):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(path))
        return cls(s, *args, **kw)

    def close(self):
        self.sock.close()

    # --- frames ---

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def send(self, conn, stream, kind, body):
        frame = struct.pack(">IIBB", len(body), stream, kind, 0) + body
        with self.lock:
            for at in range(0, len(frame), 4096):
                part = frame[at:at + 4096]
                self.sock.sendall(struct.pack(">II", conn, len(part)) + part)

    def serve(self):
        try:
            while True:
                conn, n = struct.unpack(">II", self.exactly(8))
                assert n <= 4096, "Go's plugins take no larger part"
                self.buffers[conn] += self.exactly(n)
                self.take(conn)
        except (EOFError, OSError):
            self.gone.set()
            self.replies.put(None)

    def take(self, conn):
        while len(self.buffers[conn]) >= 10:
            n, stream, _, _ = struct.unpack(">IIBB", self.buffers[conn][:10])
            if len(self.buffers[conn]) < 10 + n:
                return
            body, self.buffers[conn] = self.buffers[conn][10:10 + n], self.buffers[conn][10 + n:]
            if conn == RUNTIME:
                self.replies.put(unpack(body))
            else:
                self.handle(stream, unpack(body))

    # --- calls ---

    def call(self, method, body):
        """To the runtime; the response's payload."""
        self.stream = getattr(self, "stream", -1) + 2
        request = pack((1, "nri.pkg.api.v1alpha1.Runtime"), (2, method), (3, body))
        self.send(RUNTIME, self.stream, 1, request)
        reply = self.replies.get(timeout=10)
        if reply is None:
            raise EOFError
        if 1 in reply:
            raise RuntimeError(text(unpack(reply[1][0]), 2))
        return unpack(reply.get(2, [b""])[0])

    def handle(self, stream, request):
        method, q = text(request, 2), unpack(request.get(3, [b""])[0])
        self.requests[method] = q
        answer = self.answers.get(method)
        if method == "StateChange":
            name = EVENTS[q[1][0]]
            self.events.append((name, text(inner(q, 2), 1), text(inner(q, 3), 1)))
        elif method not in ("Configure", "Synchronize"):
            self.events.append((method, text(inner(q, 1), 1), text(inner(q, 2), 1)))
        try:
            body = answer(q) if answer else pack((2, self.mask)) if method == "Configure" else b""
        except RuntimeError as e:
            self.send(PLUGIN, stream, 2, pack((1, pack((1, 2), (2, str(e))))))
            return
        if body is None:
            return  # it does not answer
        self.send(PLUGIN, stream, 2, pack((2, body)))
        if method == "Synchronize":
            self.ready.set()


def main():
    p = Plugin(socket.socket(fileno=int(os.environ["NRI_PLUGIN_SOCKET"])), register=False)
    p.call("RegisterPlugin", b"")
    p.ready.wait(10)
    with open(text(p.requests["Configure"], 1).strip(), "a", encoding="utf-8") as f:
        print(os.environ["NRI_PLUGIN_IDX"], os.environ["NRI_PLUGIN_NAME"], os.getpid(), file=f, flush=True)
        seen = 0
        while not p.gone.wait(0.02):
            for event in p.events[seen:]:
                print(*event, file=f, flush=True)
                seen += 1


if __name__ == "__main__":
    sys.exit(main())

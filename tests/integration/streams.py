"""Clients of the CRI's streaming server: SPDY/3.1 and WebSocket, as kubelet and kubectl speak them, and as nobody should.  Only Python's standard
library."""
import base64
import collections
import json
import os
import socket
import ssl
import struct
import urllib.parse
import zlib

WORDS = """options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization
cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range content-type
date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards
pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status""".split() + ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
VALUES = ("100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
          "204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
          "501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
          "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
          "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.")
DICTIONARY = b"".join(struct.pack(">I", len(w)) + w.encode() for w in WORDS) + VALUES.encode()
assert zlib.adler32(DICTIONARY) == 0xe3c6a7c2  # the specification's


class Refused(Exception):
    """HTTP said something else than 101."""

    def __init__(self, status, head, body):
        super().__init__(f"{status}: {body!r}")
        self.status, self.head, self.body = status, head, body


class Wire:
    """A connection that has left HTTP."""

    def __init__(self, url, fields, method="GET", timeout=20):
        u = urllib.parse.urlparse(url)
        self.socket = socket.create_connection((u.hostname, u.port), timeout=timeout)
        if u.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.data = b""
        lines = [f"{method} {u.path} HTTP/1.1", f"Host: {u.netloc}", *fields]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            while b"\r\n\r\n" not in self.data:
                self.more()
        except (EOFError, OSError):
            self.socket.close()
            raise
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.head = head.decode()
        status = int(self.head.split()[1])
        if status != 101:
            try:
                while True:
                    self.more()
            except EOFError:
                self.socket.close()
                raise Refused(status, self.head, self.data.decode()) from None

    def more(self):
        got = self.socket.recv(65536)
        if not got:
            raise EOFError
        self.data += got

    def take(self, n):
        while len(self.data) < n:
            self.more()
        got, self.data = self.data[:n], self.data[n:]
        return got

    def close(self):
        self.socket.close()


def control(kind, body, flags=0):
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body


class Spdy(Wire):
    """streams[id] is what came on a stream; ended has those that the server has closed, and why."""

    def __init__(self, url, protocols=("v4.channel.k8s.io",), **kw):
        super().__init__(url, ["Connection: Upgrade", "Upgrade: SPDY/3.1", *(f"X-Stream-Protocol-Version: {p}" for p in protocols)], "POST", **kw)
        self.packer = zlib.compressobj(6, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
        self.unpacker = zlib.decompressobj(15, DICTIONARY)
        self.next, self.streams, self.ended, self.accepted, self.windows = 1, collections.defaultdict(bytes), {}, set(), 0
        self.pings, self.goodbye = [], None

    def block(self, headers):
        b = struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(x)) + x for kv in headers.items() for x in (kv[0].encode(), kv[1].encode()))
        return self.packer.compress(b) + self.packer.flush(zlib.Z_SYNC_FLUSH)

    def open(self, wait=True, fin=False, **headers):
        i, self.next = self.next, self.next + 2
        self.socket.sendall(control(1, struct.pack(">IIH", i, 0, 0) + self.block(headers), fin))
        while wait and i not in self.accepted and i not in self.ended:
            self.frame()
        return i

    def send(self, i, data, fin=False):
        while True:
            piece, data = data[:1 << 20], data[1 << 20:]
            self.socket.sendall(struct.pack(">II", i, (fin and not data) << 24 | len(piece)) + piece)
            if not data:
                return

    def frame(self):
        first, second = struct.unpack(">II", self.take(8))
        flags, body = second >> 24, self.take(second & 0xffffff)
        if not first >> 31:
            self.streams[first] += body
            if flags & 1:
                self.ended[first] = "fin"
            return
        kind = first & 0xffff
        if kind == 2:
            assert self.unpacker.decompress(body[4:]) == b"\0\0\0\0"
            self.accepted.add(struct.unpack(">I", body[:4])[0])
        elif kind == 3:
            i, why = struct.unpack(">II", body)
            self.ended[i] = why
        elif kind == 6:
            self.pings.append(body)
        elif kind == 7:
            self.goodbye = struct.unpack(">II", body)
        elif kind == 9:
            self.windows += 1
        else:
            raise AssertionError(f"frame of kind {kind}")

    def until(self, probe):
        while not probe():
            self.frame()

    def rest(self):
        """Reads to the end; a cut connection is one."""
        try:
            while True:
                self.frame()
        except (EOFError, ConnectionError):
            self.close()


class WebSocket(Wire):
    """channels[n] is what came on one."""

    def __init__(self, url, protocol="v4.channel.k8s.io", **kw):
        key = base64.b64encode(os.urandom(16)).decode()
        fields = ["Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        super().__init__(url, fields + ([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []), **kw)
        self.is_base64 = bool(protocol) and "base64" in protocol
        self.channels, self.code, self.pongs, self.messages = collections.defaultdict(bytes), None, [], 0

    def raw(self, op, data, fin=True, mask=b"\1\2\3\4"):
        n = len(data)
        head = bytes([fin << 7 | op]) + (bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xfe, n) if n < 65536 else struct.pack(">BQ", 0xff, n))
        whole = int.from_bytes((mask * (n // 4 + 1))[:n], "big") ^ int.from_bytes(data, "big")
        self.socket.sendall(head + mask + whole.to_bytes(n, "big"))

    def send(self, channel, data):
        if self.is_base64:
            self.raw(1, str(channel).encode() + base64.b64encode(data))
        else:
            self.raw(2, bytes([channel]) + data)

    def frame(self):
        first, n = self.take(2)
        if n == 126:
            n, = struct.unpack(">H", self.take(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.take(8))
        data = self.take(n)
        if first == 0x88:
            self.code, = struct.unpack(">H", data[:2])
        elif first == 0x8a:
            self.pongs.append(data)
        elif self.is_base64:
            assert first == 0x81, first
            self.channels[int(data[:1])] += base64.b64decode(data[1:])
        else:
            assert first == 0x82, first
            self.channels[data[0]] += data[1:]
        self.messages += 1

    def until(self, probe):
        while not probe():
            self.frame()

    def rest(self):
        try:
            while True:
                self.frame()
        except (EOFError, ConnectionError):
            self.close()


class Remote:
    """Exec or attach over either of the two: stdin, stdout, stderr, error, resize are the channels 0 to 4 of WebSocket."""
    NAMES = ("stdin", "stdout", "stderr", "error", "resize")

    def __init__(self, url, kind=Spdy, stdin=False, stdout=True, stderr=True, tty=False, protocol="v4.channel.k8s.io", resize=None, **kw):
        self.kind = kind
        resize = tty if resize is None else resize
        wanted = {"error": True, "stdin": stdin, "stdout": stdout, "stderr": stderr and not tty, "resize": resize}
        if kind is Spdy:
            self.wire = Spdy(url, [protocol], **kw)
            self.id = {name: self.wire.open(streamtype=name) for name, is_wanted in wanted.items() if is_wanted}
            self.got = self.wire.streams
        else:
            self.wire = WebSocket(url, protocol, **kw)
            self.id = {name: i for i, name in enumerate(self.NAMES) if wanted[name]}
            self.got = self.wire.channels

    def send(self, data, fin=False):
        if self.kind is Spdy:
            self.wire.send(self.id["stdin"], data, fin)
        else:
            self.wire.send(0, data)
            if fin:
                self.wire.raw(2, b"\xff\0")

    def resize(self, width, height):
        self.wire.send(self.id["resize"], json.dumps({"Width": width, "Height": height}).encode())

    def out(self, name="stdout"):
        return self.got[self.id[name]]

    def expect(self, text, name="stdout"):
        self.wire.until(lambda: text in self.out(name))

    def end(self):
        """(stdout, stderr, status)"""
        self.wire.rest()
        error = self.out("error")
        return self.out(), self.out("stderr") if "stderr" in self.id else b"", json.loads(error) if error.startswith(b"{") else error.decode()


class Forward:
    """Connections to ports of a pod."""

    def __init__(self, url, **kw):
        self.wire, self.requests = Spdy(url, ["portforward.k8s.io"], **kw), 0

    def connect(self, port):
        """(error stream, data stream)"""
        number, self.requests = str(self.requests), self.requests + 1
        e = self.wire.open(streamtype="error", port=str(port), requestid=number, fin=True)
        return e, self.wire.open(streamtype="data", port=str(port), requestid=number)

    def end(self, streams):
        """Until both have ended: (bytes, error)."""
        e, d = streams
        self.wire.until(lambda: e in self.wire.ended and d in self.wire.ended)
        return self.wire.streams[d], self.wire.streams[e].decode()



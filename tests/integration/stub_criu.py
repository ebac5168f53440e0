#!/usr/bin/env python3
"""A criu that restores nothing: speaks its protocol on descriptor 3, writes down what it was asked, and
does what $STUB_CRIU says, a list of words:

    version=N       answers that (default 40000)
    fail            answers that the request failed
    eof             says nothing and goes
    hang            says nothing and stays
    notify=NAME     sends this notification first (several: in their order)
    pid             notifications carry the pid of a child of the asker's that sleeps
    garbage         answers bytes that are no message
"""
import json
import os
import socket
import sys
import time

VARINT, BYTES = 0, 2
TYPES = {1: "DUMP", 2: "RESTORE", 4: "PRE_DUMP", 6: "NOTIFY", 9: "FEATURE_CHECK", 10: "VERSION"}


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def read_varint(data, at):
    n = shift = 0
    while True:
        b = data[at]
        at += 1
        n |= (b & 127) << shift
        shift += 7
        if b < 128:
            return n, at


def parse(data):
    """{field: [values]}"""
    out, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == VARINT:
            value, at = read_varint(data, at)
        else:
            n, at = read_varint(data, at)
            value, at = data[at:at + n], at + n
        out.setdefault(key >> 3, []).append(value)
    return out


def readable(opts):
    """Numbers and texts by field number, pairs as pairs."""
    out = {}
    for number, values in parse(opts).items():
        pairs = number in (11, 23, 25, 27, 39)
        out[number] = [[x.decode() if isinstance(x, bytes) else x for l in parse(v).values() for x in l] if pairs
                       else v.decode() if isinstance(v, bytes) else v for v in values]
    return out


def files():
    """What it was given beside stdio and the socket."""
    found = []
    for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            if fd > 3:
                found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:  # that of the listing
            pass
    return found


def main():
    words, given = os.environ.get("STUB_CRIU", "").split(), files()
    sock = socket.socket(fileno=3)
    request = parse(sock.recv(1 << 16))
    kind = request[1][0]
    with open(os.environ["STUB_CRIU_LOG"], "a") as log:
        log.write(json.dumps({"type": TYPES.get(kind), "args": sys.argv[1:], "files": given, "opts": readable(request.get(2, [b""])[0])}) + "\n")
    if kind == 10:
        version = int(next((w[8:] for w in words if w.startswith("version=")), "40000"))
        sock.send(field(1, 10) + field(2, 1) + field(10, field(1, version // 10000) + field(2, version // 100 % 100) + field(4, version % 100)))
        return 0
    if "eof" in words:
        return 0
    if "hang" in words:
        time.sleep(100)
    if "garbage" in words:
        sock.send(b"\xff" * 100)
        return 0
    pid = 0
    if "pid" in words:
        pid = os.fork()
        if pid == 0:
            sock.close()
            os.execvp("sleep", ["sleep", "100"])
    for w in words:
        if w.startswith("notify="):
            sock.send(field(1, 6) + field(2, 1) + field(5, field(1, w[7:].encode()) + (field(2, pid) if pid else b"")))
            answer = parse(sock.recv(1 << 16))
            if not answer.get(3, [0])[0]:
                return 1
    ok = "fail" not in words
    sock.send(field(1, kind) + field(2, int(ok)) + (field(4, field(1, pid or 1)) if kind == 2 else b"") + field(7, 0 if ok else 5))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

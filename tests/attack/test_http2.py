"""Published attacks on HTTP/2 servers, with frames made by hand, against the daemon's socket.

After each one the daemon must answer others at once (five seconds, on a busy machine), and must not have grown."""
import contextlib
import os
import pathlib
import socket
import stat
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import casco  # noqa: E402

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ENHANCE_YOUR_CALM = 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GROWTH = 48 << 20  # bytes that an attack may leave or hold


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, bits, first=0):
    """HPACK's integers."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytes([first | limit]), value - limit
    while value >= 128:
        out, value = out + bytes([value % 128 | 128]), value // 128
    return out + bytes([value])


def header(name, value, indexed=False):
    """A literal header with a literal name."""
    name, value = name.encode(), value.encode()
    return (b"\x40" if indexed else b"\0") + number(len(name), 7) + name + number(len(value), 7) + value


def request(path="/containerd.services.version.v1.Version/Version", *more):
    return b"".join([header(":method", "POST"), header(":scheme", "http"), header(":path", path),
                     header(":authority", "x"), header("content-type", "application/grpc"),
                     header("te", "trailers"), *more])


EMPTY_MESSAGE = b"\0\0\0\0\0"


class Peer:
    """One connection; what it is sent stays unread unless asked for."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(path)
        self.got = b""
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data):
        """False when the server has closed the connection."""
        try:
            self.s.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return False

    def frames(self, call=None, seconds=20.0):
        """What comes until the server closes, says GOAWAY or ends that call: (kind, flags, stream, payload)."""
        def is_last(kind, flags, stream, _):
            return kind in (None, GOAWAY) or stream == call and (kind == RST or kind in (HEADERS, DATA) and flags & END_STREAM)

        found, end = [], time.monotonic() + seconds
        while not any(is_last(*f) for f in found) and time.monotonic() < end:
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.s.recv(1 << 16)
            except TimeoutError:
                break
            except ConnectionResetError:
                data = b""
            self.got += data
            found += self.take_frames()
            if not data:
                found.append((None, 0, 0, b""))  # closed
        return found

    def take_frames(self):
        at, found = 0, []
        while len(self.got) >= at + 9:
            n = int.from_bytes(self.got[at:at + 3], "big")
            if len(self.got) < at + 9 + n:
                break
            found.append((self.got[at + 3], self.got[at + 4], int.from_bytes(self.got[at + 5:at + 9], "big"), self.got[at + 9:at + 9 + n]))
            at += 9 + n
        self.got = self.got[at:]
        return found

    def close(self):
        self.s.close()


def goaway_code(frames):
    for kind, _, _, payload in frames:
        if kind == GOAWAY:
            return int.from_bytes(payload[4:8], "big")
    return None


def is_closed(frames):
    return any(kind is None for kind, *_ in frames)


class Http2(casco.DaemonTest):
    images = False

    def setUp(self):
        self.before = self.resident()

    def tearDown(self):
        start = time.monotonic()
        self.ctr("version")
        self.assertLess(time.monotonic() - start, 5)
        self.assertIsNone(self.daemon.process.poll())
        self.assertLess(self.resident() - self.before, GROWTH)
        super().tearDown()

    def resident(self):
        pages = pathlib.Path(f"/proc/{self.daemon.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def transfers(self):
        """Workers of this daemon."""
        ours, found = str(self.daemon.process.pid), []
        for line in casco.processes("containerd-transfer"):
            with contextlib.suppress(OSError):
                parent = pathlib.Path(f"/proc/{line.split()[0]}/stat").read_text().rpartition(")")[2].split()[1]
                found += [line] if parent == ours else []
        return found

    def peer(self):
        p = Peer(self.daemon.address)
        self.addCleanup(p.close)
        return p

    def flood(self, one, count=60000, piece=500):
        """Sends the frame that often, unread; the server must end it."""
        p = self.peer()
        for _ in range(count // piece):
            if not p.send(one * piece):
                break
        self.assertLess(self.resident() - self.before, GROWTH)
        frames = p.frames()
        self.assertTrue(is_closed(frames) or goaway_code(frames) is not None, "the flood was served to its end")
        return frames

    def test_a_plain_call(self):
        """The frames of the attacks are right: an honest call made of them is answered."""
        p = self.peer()
        p.send(frame(HEADERS, END_HEADERS, 1, request()) + frame(DATA, END_STREAM, 1, EMPTY_MESSAGE))
        frames = p.frames(call=1)
        self.assertIn(b"\0\0\0\0", next(payload for kind, _, _, payload in frames if kind == DATA))
        self.assertIsNone(goaway_code(frames))

    def test_ping_flood(self):
        """CVE-2019-9512: endless pings whose answers nobody reads."""
        self.flood(frame(PING, 0, 0, b"12345678"))

    def test_settings_flood(self):
        """CVE-2019-9515: endless settings to acknowledge."""
        self.flood(frame(SETTINGS, 0, 0))

    def test_reset_flood(self):
        """CVE-2019-9514: every stream is broken, so that the server sends a reset for each."""
        p = self.peer()
        stream, closed = 1, False
        for _ in range(400):
            data = b""
            for _ in range(100):
                data += frame(HEADERS, END_HEADERS | END_STREAM, stream, header("Upper-Case", "x"))
                stream += 2
            if not p.send(data):
                closed = True
                break
        frames = p.frames()
        self.assertTrue(closed or is_closed(frames) or goaway_code(frames) is not None)

    def test_rapid_reset(self):
        """CVE-2023-44487: calls that are cancelled as soon as they are made."""
        p = self.peer()
        block, stream, closed = request(), 1, False
        for _ in range(600):
            data = b""
            for _ in range(50):
                data += (frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, EMPTY_MESSAGE)
                         + frame(RST, 0, stream, struct.pack(">I", 8)))
                stream += 2
            if not p.send(data):
                closed = True
                break
        frames = p.frames()
        self.assertTrue(closed or is_closed(frames) or goaway_code(frames) is not None)

    def test_continuation_flood(self):
        """CVE-2023-45288: a header block without end."""
        p = self.peer()
        p.send(frame(HEADERS, 0, 1, request()))
        piece = header("x-filler", "y" * 8000)
        sent = 0
        for _ in range(4000):
            if not p.send(frame(CONTINUATION, 0, 1, piece)):
                break
            sent += 1
        self.assertLess(sent, 4000)
        self.assertLess(self.resident() - self.before, GROWTH)

    def test_hpack_table_changes(self):
        """CVE-2026-97032: the size of the header table changes between and inside of requests."""
        p = self.peer()
        size = [0, 4096, 1, 100, 4096]
        for i in range(200):
            block = number(size[i % 5], 5, 0x20) + request("/a.b/c", header("x-k", "v" * 50, True))
            p.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block))
        self.assertIsNone(goaway_code(p.frames(seconds=1.0)))
        p = self.peer()  # above what was announced: an error of the connection
        p.send(frame(HEADERS, END_HEADERS, 1, number(1 << 20, 5, 0x20) + request()))
        self.assertEqual(goaway_code(p.frames()), 9)  # COMPRESSION_ERROR

    def test_huge_trailers(self):
        """CVE-2026-78659: the list of headers is bounded, the one of trailers must be, too."""
        p = self.peer()
        p.send(frame(HEADERS, END_HEADERS, 1, request("/containerd.services.content.v1.Content/Write")))
        first = header("x-t", "z" * 3000, True)  # then one byte is 3000
        block = first + b"\xbe" * 3000
        p.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
        frames = p.frames(call=1)
        self.assertTrue(any(kind == RST and stream == 1 for kind, _, stream, _ in frames)
                        or goaway_code(frames) is not None or is_closed(frames))
        self.assertLess(self.resident() - self.before, GROWTH)

    def test_resets_do_not_free_the_window(self):
        """CVE-2026-78663: bytes of streams that are reset must not stay buffered."""
        p = self.peer()
        stream, sent = 1, 0
        block = request("/containerd.services.content.v1.Content/Write")
        piece = struct.pack(">BI", 0, 1 << 20) + b"x" * 16000
        for _ in range(1500):
            data = (frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, 0, stream, piece)
                    + frame(RST, 0, stream, struct.pack(">I", 8)))
            if not p.send(data):
                break
            stream, sent = stream + 2, sent + 1
        self.assertLess(self.resident() - self.before, GROWTH)

    def test_window_games(self):
        """CVE-2026-78669: many streams, and a change of all of their windows again and again."""
        p = self.peer()
        block = request("/containerd.services.events.v1.Events/Subscribe")
        for i in range(500):
            p.send(frame(HEADERS, END_HEADERS, 2 * i + 1, block) + frame(DATA, END_STREAM, 2 * i + 1, EMPTY_MESSAGE))
        sent = 0
        for i in range(200):
            change = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535 + i % 2))
            if not p.send(change * 100):
                break
            sent += 1
        frames = p.frames()
        self.assertTrue(sent < 200 or is_closed(frames) or goaway_code(frames) is not None)

    def test_paths_without_a_slash(self):
        """CVE-2026-33186: a path that only looks like a method's is none."""
        for path in ("containerd.services.version.v1.Version/Version", "//containerd.services.version.v1.Version/Version",
                     "/containerd.services.version.v1.Version/Version/", "/", "*", "/Version"):
            with self.subTest(path=path):
                p = self.peer()
                p.send(frame(HEADERS, END_HEADERS, 1, request(path)) + frame(DATA, END_STREAM, 1, EMPTY_MESSAGE))
                frames = p.frames(call=1)
                self.assertTrue(frames)
                self.assertFalse([f for f in frames if f[0] == DATA and f[3]])

    def test_transfers_that_wait_for_their_client(self):
        """No transfer's client, however many they are and whatever they leave unsent, takes all of the daemon's threads."""
        def message(*fields):
            return b"".join(number(n << 3 | 2, 8) + number(len(v), 8) + v for n, v in fields)

        def call(p, stream, method, body, flags=0):
            p.send(frame(HEADERS, END_HEADERS, stream, request("/containerd.services." + method, header("containerd-namespace", "default")))
                   + frame(DATA, flags, stream, struct.pack(">BI", 0, len(body)) + body))

        def packed(kind, *fields):
            return message((1, kind.encode()), (2, message(*fields)))

        p = self.peer()
        for i in range(280):
            name = f"held-{i}".encode()
            source = packed("containerd.types.transfer.ImageImportStream", (1, name))
            target = packed("containerd.types.transfer.ImageStore", (1, b"x"))
            call(p, 4 * i + 1, "streaming.v1.Streaming/Stream", packed("containerd.services.streaming.v1.StreamInit", (1, name)))
            call(p, 4 * i + 3, "transfer.v1.Transfer/Transfer", message((1, source), (2, target)), END_STREAM)
        casco.wait_for("transfers", lambda: len(self.transfers()) >= 60)
        time.sleep(1)
        self.assertEqual(self.ctr("version", timeout=5).returncode, 0)
        p.close()
        casco.wait_for("their end", lambda: not self.transfers())

    def test_many_connections(self):
        """More than the server keeps: the others wait or are closed, and come in again afterwards."""
        held = []
        for _ in range(1100):
            s = socket.socket(socket.AF_UNIX)
            held.append(s)
            try:
                s.connect(self.daemon.address)
            except OSError:
                break
        self.assertLess(self.resident() - self.before, GROWTH)
        for s in held:
            s.close()
        casco.wait_for("room", lambda: self.ctr("version", check=False).returncode == 0, 5)


class Permissions(casco.DaemonTest):
    """CVE-2021-41103, CVE-2024-25621, CVE-2020-15257: nobody but root sees the daemon's folders or sockets."""

    def test_folders_and_sockets(self):
        self.running(name="private")
        for top in (self.daemon.root, self.daemon.state):
            self.assertEqual(stat.S_IMODE(top.stat().st_mode), 0o700, top)
        for base, _, names in os.walk(self.daemon.state):
            for name in names:
                path = os.path.join(base, name)
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    self.assertEqual(os.lstat(path).st_mode & 0o077, 0, path)

    def test_no_abstract_socket(self):
        self.running(name="hidden")
        for line in pathlib.Path("/proc/net/unix").read_text().splitlines():
            name = line.split()[-1]
            self.assertFalse(name.startswith("@") and ("containerd" in name or "shim" in name), line)

    def test_folders_that_were_open_are_closed(self):
        scratch = casco.Scratch()
        self.addCleanup(scratch.remove)
        d = casco.Daemon(scratch.path)
        for folder in (d.root, d.state):
            folder.mkdir(0o755)
            folder.chmod(0o755)
        d.start()
        self.addCleanup(d.stop)
        for folder in (d.root, d.state):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700, folder)

    def test_a_group_reaches_its_socket(self):
        """gid of [grpc] is of use, and opens no more than the socket."""
        scratch = casco.Scratch()
        self.addCleanup(scratch.remove)
        d = casco.Daemon(scratch.path, config=casco.CONFIG.replace("[grpc]", "[grpc]\n  gid = 12345"))
        d.start()
        self.addCleanup(d.stop)
        self.assertEqual(stat.S_IMODE(d.state.stat().st_mode), 0o711)
        as_member = ["setpriv", "--reuid", "23456", "--regid", "12345", "--clear-groups"]
        casco.run([*as_member, *d.command("version")])
        self.assertNotEqual(casco.run([*as_member, "ls", d.state], check=False).returncode, 0)
        for inside in d.state.iterdir():
            if not stat.S_ISSOCK(inside.lstat().st_mode):
                self.assertEqual(inside.stat().st_mode & 0o077, 0, inside)
        stranger = ["setpriv", "--reuid", "23456", "--regid", "23456", "--clear-groups"]
        self.assertIn("permission denied", casco.run([*stranger, *d.command("version")], check=False).stderr)


if __name__ == "__main__":
    unittest.main()

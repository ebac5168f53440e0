"""Exec, Attach and PortForward of the container runtime interface: the streams behind their URLs, over SPDY and WebSocket."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import time
import unittest

import rpc
from casco import CONFIG, Daemon, Scratch, processes, wait_for
from streams import Forward, Refused, Remote, Spdy, WebSocket, Wire, control
from test_cri import CriTest

SUCCESS = {"metadata": {}, "status": "Success"}


def memory(daemon):
    """In KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text())[1])


class StreamTest(CriTest):
    """One pod with a container that waits; execs are made in it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        helper = cls()
        cls.addClassCleanup(CriTest.tearDown, helper)
        cls.a_pod = helper.pod("streams", network="POD")
        cls.box = helper.container(cls.a_pod, "sh", "-c", "trap 'exit 0' TERM; httpd -p 127.0.0.1:80 -h /etc; while :; do sleep 1; done")

    def tearDown(self):
        pass

    def url(self, method, **request):
        return self.cri(method, request)["url"]

    def exec_url(self, *cmd, stdin=False, stdout=True, stderr=True, tty=False):
        return self.url("Exec", container_id=self.box, cmd=cmd, stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty)

    def exec(self, *cmd, kind=Spdy, protocol="v4.channel.k8s.io", **kw):
        streams = {k: kw[k] for k in ("stdin", "stdout", "stderr", "tty") if k in kw}
        return Remote(self.exec_url(*cmd, **streams), kind, protocol=protocol, **kw)

    def execs(self):
        """How many execs the shim and the disk still know of."""
        fifos = self.daemon.state / "io.casco.cri" / "stdio"
        pids = self.k8s("tasks", "ps", self.box).stdout
        return len(list(fifos.iterdir())) if fifos.exists() else 0, pids


class Exec:
    def test_both_wires_all_protocols(self):
        for kind, protocol in ((Spdy, "v4.channel.k8s.io"), (Spdy, "v3.channel.k8s.io"), (Spdy, "v2.channel.k8s.io"), (Spdy, "channel.k8s.io"),
                               (WebSocket, "v5.channel.k8s.io"), (WebSocket, "v4.channel.k8s.io"), (WebSocket, "v4.base64.channel.k8s.io"),
                               (WebSocket, "base64.channel.k8s.io"), (WebSocket, "channel.k8s.io"), (WebSocket, "")):
            with self.subTest(kind=kind.__name__, protocol=protocol):
                out, err, status = self.exec("sh", "-c", "echo out; echo err >&2; exit 3", kind=kind, protocol=protocol).end()
                self.assertEqual((out, err), (b"out\n", b"err\n"))
                sentence = "command terminated with non-zero exit code: error executing command [sh -c echo out; echo err >&2; exit 3], exit code 3"
                if re.match("v[45]", protocol):
                    self.assertEqual(status, {"metadata": {}, "status": "Failure", "message": sentence, "reason": "NonZeroExitCode",
                                              "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}})
                    self.assertEqual(self.exec("true", kind=kind, protocol=protocol).end()[2], SUCCESS)
                else:
                    self.assertEqual(status, sentence)
                    self.assertEqual(self.exec("true", kind=kind, protocol=protocol).end()[2], "")
        self.assertEqual(self.execs()[0], 0)

    def test_input_ends(self):
        for kind, protocol in ((Spdy, "v4.channel.k8s.io"), (WebSocket, "v5.channel.k8s.io")):
            with self.subTest(kind=kind.__name__):
                r = self.exec("sh", "-c", "cat; echo after", stdin=True, kind=kind, protocol=protocol)
                r.send(b"one ")
                r.expect(b"one ")  # both ways at once, not one after the other
                r.send(b"two ", fin=True)
                self.assertEqual(r.end(), (b"one two after\n", b"", SUCCESS))

    def test_much_of_everything(self):
        data = os.urandom(1 << 20) * 3
        for kind, protocol in ((Spdy, "v4.channel.k8s.io"), (WebSocket, "v5.channel.k8s.io")):
            with self.subTest(kind=kind.__name__), concurrent.futures.ThreadPoolExecutor(1) as pool:
                r = self.exec("cat", stdin=True, kind=kind, protocol=protocol)
                sent = pool.submit(r.send, data, True)
                out, _, status = r.end()
                sent.result()
                self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(data).digest())
                self.assertEqual(status, SUCCESS)

    def test_terminal(self):
        for kind in (Spdy, WebSocket):
            with self.subTest(kind=kind.__name__):
                r = self.exec("sh", stdin=True, tty=True, kind=kind)
                r.resize(101, 33)
                r.expect(b"# ")
                r.send(b"stty size; echo $TERM\n")
                r.expect(b"33 101")
                r.resize(20, 10)
                r.send(b"sleep 0.2; stty size; exit 7\n")
                out, _, status = r.end()
                self.assertIn(b"xterm", out)
                self.assertIn(b"10 20", out)
                self.assertEqual(status["details"]["causes"], [{"reason": "ExitCode", "message": "7"}])

    def test_no_such_command(self):
        _, _, status = self.exec("no-such-command").end()
        self.assertEqual((status["reason"], status["code"]), ("InternalError", 500))
        self.assertRegex(status["message"], "^Internal error occurred: error executing command in container: failed to start exec .*no-such-command")
        # resizes of what never started (CVE-2022-23471)
        before = len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))
        for _ in range(10):
            r = self.exec("no-such-command", stdin=True, tty=True)
            r.resize(80, 24)
            r.end()
        self.assertEqual(self.execs()[0], 0)
        wait_for("its descriptors to go", lambda: len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")) <= before)

    def test_a_client_that_leaves(self):
        r = self.exec("sh", "-c", "cat; yes | head -c 4000000; echo done > /tmp/done", stdin=True)
        r.send(b"x")
        r.expect(b"x")
        r.wire.close()
        # it sees the end of its input, and nobody holds it up
        wait_for("the command's end", lambda: "done" in self.exec("cat", "/tmp/done").end()[0].decode())
        wait_for("its record to go", lambda: len(self.execs()[1].splitlines()) <= 4)

    def test_those_that_clients_leave_are_bounded(self):
        """They run on, as with containerd; of one container no more than 32."""
        def running():
            return len(processes("sleep 57.711"))
        for n in range(1, 35):
            r = self.exec("sh", "-c", "echo up; exec sleep 57.711", stderr=False)
            r.expect(b"up")
            r.wire.close()
            wait_for("the command", lambda n=n: running() >= min(n, 32))
        wait_for("the oldest to go", lambda: running() == 32)
        self.exec("killall", "sleep").end()
        wait_for("their ends", lambda: not running())

    def test_a_client_that_does_not_read(self):
        """The process waits, nobody else does, and the daemon keeps little."""
        before = memory(self.daemon)
        slow = [self.exec("sh", "-c", "yes"), self.exec("yes", kind=WebSocket)]
        time.sleep(0.5)
        began = time.monotonic()
        self.assertEqual(self.exec("echo", "hi").end()[0], b"hi\n")
        self.assertLess(time.monotonic() - began, 2)
        self.assertLess(memory(self.daemon) - before, 4096)
        for r in slow:
            r.wire.close()
        self.exec("killall", "yes").end()

    def test_a_process_that_does_not_read(self):
        r = self.exec("sleep", "100", stdin=True)
        r.wire.socket.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            r.send(bytes(16 << 20))
        r.wire.close()
        self.exec("killall", "sleep").end()

    def test_what_kubelet_asks_for_wrongly(self):
        for request, text in (({}, "missing required container_id"), ({"container_id": "box", "cmd": ["true"]}, "one of stdin, stdout, or stderr must be set"),
                              ({"container_id": "box", "cmd": ["true"], "tty": True, "stderr": True}, "tty and stderr cannot both be true"),
                              ({"container_id": "none", "cmd": ["true"], "stdout": True}, 'failed to find container "none" in store')):
            with self.subTest(request=request), self.assertRaises(rpc.RpcError) as caught:
                self.cri("Exec", request)
            self.assertIn(text, str(caught.exception))


class Attach:
    def talker(self):
        self.talking = self.container(self.a_pod, "sh", "-c", "n=0; while read -r line; do n=$((n+1)); echo got $n $line; echo err $n >&2; [ \"$line\" = end ] && exit 5; done; echo eof; sleep 100", name="talker", stdin=True)

    def attach(self, stdin=True, box=None, **kw):
        return Remote(self.url("Attach", container_id=box or self.talking, stdin=stdin, stdout=True, stderr=True), stdin=stdin, **kw)

    def test_several_see_the_same(self):
        self.talker()
        first, second, third = self.attach(), self.attach(kind=WebSocket), self.attach(stdin=False)
        time.sleep(0.3)
        first.send(b"hello\n")
        for r in (first, second, third):
            r.expect(b"got 1 hello\n")
            r.expect(b"err 1\n", "stderr")
        second.send(b"again\n")
        for r in (first, second, third):
            r.expect(b"got 2 again\n")
        # who says no more has left, and the others stay
        first.send(b"", fin=True)
        self.assertEqual(first.end()[2], SUCCESS)
        third.wire.close()
        # many come and go (CVE-2025-64329)
        before = len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))
        for _ in range(20):
            self.attach(stdin=False).wire.close()
        wait_for("their descriptors to go", lambda: len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")) <= before)
        last = self.attach()
        time.sleep(0.2)
        second.send(b"end\n")
        for r in (second, last):
            self.assertTrue(r.end()[0].endswith(b"got 3 end\n"))
        self.wait_for_end(self.talking)
        with self.assertRaises(rpc.RpcError) as caught:
            self.attach()
        self.assertRegex(str(caught.exception), "is not running")

    def test_input_once(self):
        """The end of the first client's input is that of the container's."""
        box = self.container(self.a_pod, "sh", "-c", "cat; echo end; sleep 0.2", name="once", stdin=True, stdin_once=True)
        r = self.attach(box=box)
        time.sleep(0.3)
        r.send(b"some\n")
        r.expect(b"some\n")
        r.send(b"", fin=True)
        self.assertEqual(r.end(), (b"some\nend\n", b"", SUCCESS))
        self.assertEqual(self.wait_for_end(box)["exit_code"], 0)
        self.assertIn("stdout F end", self.log(box))


class PortForward:
    GET = b"GET /passwd HTTP/1.0\r\n\r\n"

    def forward(self):
        return Forward(self.url("PortForward", pod_sandbox_id=self.a_pod[0], port=[80]))

    def test_a_server_in_the_pod(self):
        f = self.forward()
        streams = f.connect(80)
        f.wire.send(streams[1], self.GET)
        f.wire.until(lambda: streams[1] in f.wire.ended)
        self.assertIn(b"root:", f.wire.streams[streams[1]])
        f.wire.send(streams[1], b"", fin=True)
        data, error = f.end(streams)
        self.assertEqual(error, "")
        # several at once, over one connection
        many = [f.connect(80) for _ in range(20)]
        for s in many:
            f.wire.send(s[1], self.GET, fin=True)
        for s in many:
            data, error = f.end(s)
            self.assertIn(b"200 OK", data)
            self.assertEqual(error, "")
        f.wire.close()

    def test_nobody_listens(self):
        f = self.forward()
        data, error = f.end(f.connect(81))
        self.assertEqual(data, b"")
        self.assertRegex(error, r'^error forwarding port 81 to pod [0-9a-f]{64}, uid : failed to execute portforward in network namespace: failed to connect '
                                r'to localhost:81 inside namespace "[0-9a-f]{64}", IPv4: dial tcp4 127.0.0.1:81: connect: connection refused IPv6 dial tcp6 ')
        # and the connection is good for the next one
        s = f.connect(80)
        f.wire.send(s[1], self.GET, fin=True)
        self.assertIn(b"root:", f.end(s)[0])
        f.wire.close()

    def test_ipv6(self):
        self.exec("sh", "-c", "httpd -p [::1]:86 -h /etc").end()
        f = self.forward()
        s = f.connect(86)
        f.wire.send(s[1], self.GET, fin=True)
        self.assertIn(b"root:", f.end(s)[0])
        f.wire.close()

    def test_over_websocket(self):
        w = WebSocket(self.url("PortForward", pod_sandbox_id=self.a_pod[0], port=[80, 81]))
        w.until(lambda: len(w.channels) == 4 and b"refused" in w.channels[3])
        self.assertEqual((w.channels[0], w.channels[1], w.channels[2]), (b"\x50\0", b"\x50\0", b"\x51\0"))
        self.assertEqual(w.channels[3][:2], b"\x51\0")
        w.send(0, self.GET)
        w.until(lambda: b"root:" in w.channels[0])
        w.close()

    def test_streams_that_make_no_pair(self):
        f = self.forward()
        for headers in ({"streamtype": "data"}, {"streamtype": "data", "port": "0", "requestid": "a"}, {"streamtype": "data", "port": "65536", "requestid": "a"},
                        {"streamtype": "other", "port": "80", "requestid": "a"}, {"port": "80", "requestid": "a"}, {"streamtype": "data", "port": "80", "requestid": "x" * 99}):
            self.assertEqual(f.wire.ended.get(f.wire.open(**headers)), 3, headers)
        one = f.wire.open(streamtype="data", port="80", requestid="a")
        self.assertIn(one, f.wire.accepted)
        self.assertEqual(f.wire.ended.get(f.wire.open(streamtype="data", port="80", requestid="a")), 3)
        self.assertEqual(f.wire.ended.get(f.wire.open(streamtype="error", port="81", requestid="a")), 3)
        f.wire.close()


class Hostile:
    """A client that has a token and sends what it should not, and strangers without one: whatever comes, the next client is served."""

    def tearDown(self):
        self.assertEqual(self.exec("echo", "alive").end(), (b"alive\n", b"", SUCCESS))

    def test_tokens(self):
        url = self.exec_url("true")
        self.assertRegex(url, r"^http://127\.0\.0\.1:\d+/exec/[A-Za-z0-9_-]{8}$")
        self.assertEqual(Remote(url).end()[2], SUCCESS)
        for bad in (url, url[:-1], url + "x", re.sub("[^/]*$", "", url), url.replace("/exec/", "/attach/"), re.sub("/exec/.*", "/", url)):
            with self.subTest(url=bad), self.assertRaises(Refused) as caught:
                Spdy(bad)
            self.assertEqual((caught.exception.status, caught.exception.body), (404, "404 page not found\n"))
        # of another kind: used up as well
        url = self.exec_url("true")
        for path in ("/portforward/", "/exec/"):
            with self.assertRaises(Refused) as caught:
                Spdy(url.replace("/exec/", path), ["portforward.k8s.io"])
            self.assertEqual(caught.exception.status, 404)
        # no more than a thousand are out
        def one(_):
            try:
                return self.exec_url("true")
            except rpc.RpcError as e:
                return e
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(one, range(1010)))
        refused = [g for g in got if not isinstance(g, str)]
        self.assertGreaterEqual(len(refused), 5)
        self.assertIn("maximum number of in-flight requests exceeded", str(refused[0]))
        self.assertEqual(refused[0].code, "RESOURCE_EXHAUSTED")
        for url in [g for g in got if isinstance(g, str)][:20]:
            self.assertEqual(Remote(url).end()[2], SUCCESS)

    def test_requests(self):
        def refused(status, fields, method="GET"):
            with self.subTest(fields=fields, method=method), self.assertRaises(Refused) as caught:
                Wire(self.exec_url("true"), fields, method)
            self.assertEqual(caught.exception.status, status)
            return caught.exception
        spdy = ["Connection: Upgrade", "Upgrade: SPDY/3.1"]
        web = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        refused(400, spdy)  # no protocol
        e = refused(403, [*spdy, "X-Stream-Protocol-Version: v9.channel.k8s.io"])
        self.assertIn("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io", e.head)
        refused(400, ["X-Stream-Protocol-Version: v4.channel.k8s.io"])
        refused(405, spdy, "DELETE")
        refused(400, [*spdy, "Content-Length: 5"])
        refused(400, [*spdy, "Transfer-Encoding: chunked"])
        refused(400, [*spdy, "Host: other"])
        refused(431, [*spdy, "X: " + "y" * 20000])
        refused(400, [*web, "Sec-WebSocket-Version: 8"])
        refused(403, [*web, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: chat"])
        refused(400, [*web, "Sec-WebSocket-Version: 13"], "POST")

    def test_frames_of_spdy(self):
        rows = {"a header bomb": lambda w: control(1, struct.pack(">IIH", 1, 0, 0) + w.packer.compress(bytes(4 << 20)) + w.packer.flush(2)),
                "no zlib": lambda w: control(1, struct.pack(">IIH", 1, 0, 0) + b"nonsense" * 9),
                "a long control frame": lambda w: struct.pack(">HHI", 0x8003, 1, 0xffffff),
                "another version": lambda w: struct.pack(">HHI", 0x8002, 1, 10) + bytes(10),
                "data of nobody": lambda w: struct.pack(">II", 7, 1) + b"x",
                "window overflow": lambda w: control(9, struct.pack(">II", 0, 0x7fffffff)),
                "window of nothing": lambda w: control(9, struct.pack(">II", 0, 0)),
                "settings that lie": lambda w: control(4, struct.pack(">I", 9)),
                "an even stream": lambda w: control(1, struct.pack(">IIH", 2, 0, 0) + w.block({"streamtype": "error"}))}
        for name, make in rows.items():
            with self.subTest(name):
                w = Spdy(self.exec_url("true"))
                w.socket.sendall(make(w))
                w.rest()
                self.assertEqual(w.goodbye[1], 1)  # PROTOCOL_ERROR
                w.close()

    def test_streams_of_spdy(self):
        w = Spdy(self.exec_url("cat", stdin=True))
        error = w.open(streamtype="error")
        for headers in ({"streamtype": "error"}, {"streamtype": "resize"}, {"streamtype": ""}, {"x": "y"}):
            self.assertEqual(w.ended.get(w.open(**headers)), 3)  # REFUSED_STREAM
        stdin = w.open(streamtype="stdin")
        w.send(stdin, b"early ")
        stdout = w.open(streamtype="stdout")
        w.open(streamtype="stderr")
        w.socket.sendall(control(6, b"\0\0\0\7"))
        w.send(stdin, b"late", fin=True)
        w.send(stdin, b"too late")
        w.rest()
        self.assertEqual((w.streams[stdout], json.loads(w.streams[error]), w.pings), (b"early late", SUCCESS, [b"\0\0\0\7"]))

    def test_windows_are_kept(self):
        """Towards a client that knows them."""
        w = Spdy(self.exec_url("head", "-c", "1000000", "/dev/zero"))
        w.socket.sendall(control(4, struct.pack(">III", 1, 7, 1000)))
        ids = {n: w.open(streamtype=n) for n in ("error", "stderr", "stdout")}
        w.until(lambda: len(w.streams[ids["stdout"]]) == 1000)
        w.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            w.frame()
        w.socket.settimeout(20)
        for i in (0, ids["stdout"]):
            w.socket.sendall(control(9, struct.pack(">II", i, 5000000)))
        w.rest()
        self.assertEqual((len(w.streams[ids["stdout"]]), json.loads(w.streams[ids["error"]])), (1000000, SUCCESS))

    def test_frames_of_websocket(self):
        rows = {"no mask": b"\x82\x05hello", "reserved bits": b"\xf2\x80\0\0\0\0", "an unknown kind": b"\x83\x80\0\0\0\0", "more of nothing": b"\x80\x80\0\0\0\0",
                "a long ping": b"\x89\xfe\x01\0\0\0\0\0", "a length of 2^63": b"\x82\xff\xff" + bytes(7) + bytes(4), "a padded length": b"\x82\xfe\0\x05\0\0\0\0"}
        for name, frame in rows.items():
            with self.subTest(name):
                w = WebSocket(self.exec_url("sleep", "1", stdin=True))
                w.socket.sendall(frame)
                w.rest()
                self.assertEqual(w.code, 1002)
                w.close()
        w = WebSocket(self.exec_url("cat", stdin=True), "v4.base64.channel.k8s.io")
        w.raw(1, b"0!!!!")
        w.rest()
        self.assertEqual(w.code, 1002)
        # what is odd and allowed: channels that nobody has, pieces, a ping in between
        w = WebSocket(self.exec_url("cat", stdin=True), "v5.channel.k8s.io")
        w.send(9, b"nobody")
        w.send(4, b"{not a size}")
        w.raw(2, b"\0pie", fin=False)
        w.raw(9, b"ping")
        w.raw(0, b"ces")
        w.raw(2, b"\xff\0")
        w.rest()
        self.assertEqual((w.channels[1], w.pongs, w.code), (b"pieces", [b"ping"], 1000))

    def test_one_pod_has_a_share_of_the_connections(self):
        def one():
            return Forward(self.url("PortForward", pod_sandbox_id=self.a_pod[0], port=[80]))
        many = [one() for _ in range(128)]

        def refused(make):
            try:
                make().wire.close()
            except Refused as e:
                return e.status, e.body
            return None
        for make in (one, lambda: self.exec("true")):
            self.assertEqual(refused(make), (429, "the pod has too many streams open\n"))
        for f in many:
            f.wire.close()
        wait_for("the places", lambda: not refused(one))

    def test_those_who_say_nothing(self):
        """Many silent connections keep nobody out: there is a bound, and the oldest of them goes."""
        host, port = re.search(r"//([^/:]*):(\d+)/", self.exec_url("true")).groups()
        silent = [socket.create_connection((host, int(port))) for _ in range(64)]
        try:
            self.assertEqual(self.exec("echo", "hi").end()[0], b"hi\n")
            silent[0].settimeout(5)
            self.assertEqual(silent[0].recv(1), b"")
            silent[-1].settimeout(0.1)
            with self.assertRaises(TimeoutError):
                silent[-1].recv(1)
        finally:
            for s in silent:
                s.close()


class Streams(Exec, Attach, PortForward, Hostile, StreamTest):
    """All of them with one daemon."""


class Secured(StreamTest):
    more_config = "\n[plugins.'io.containerd.grpc.v1.cri']\n  enable_tls_streaming = true\n"

    def test_tls(self):
        url = self.exec_url("cat", stdin=True)
        self.assertTrue(url.startswith("https://"))
        data = os.urandom(1 << 20)
        for kind, protocol in ((Spdy, "v4.channel.k8s.io"), (WebSocket, "v5.channel.k8s.io")):
            r = self.exec("cat", stdin=True, kind=kind, protocol=protocol)
            r.send(data, fin=True)
            self.assertEqual(r.end(), (data, b"", SUCCESS))
        # not TLS
        with self.assertRaises((EOFError, ConnectionError)):
            Spdy(url.replace("https", "http"))
        self.assertEqual(self.exec("true").end()[2], SUCCESS)

    def test_strangers_handshakes_are_bounded(self):
        """They cost the daemon's one loop more than those who offer them."""
        host, port = re.search(r"//([^/:]*):(\d+)/", self.exec_url("true")).groups()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        began = time.monotonic()
        for _ in range(70):
            context.wrap_socket(socket.create_connection((host, int(port)), timeout=5)).close()
        self.assertGreater(time.monotonic() - began, 1)

    def test_nothing_is_kept_behind_the_end(self):
        w = Spdy(self.exec_url("true"))
        before = memory(self.daemon)
        w.socket.sendall(control(9, struct.pack(">II", 0, 0)))  # breaks the protocol
        for _ in range(48):
            w.socket.sendall(bytes(1 << 20))
        self.assertLess(memory(self.daemon) - before, 16 << 10)
        w.close()


class Configured(unittest.TestCase):
    def start(self, text):
        scratch = Scratch()
        self.addCleanup(scratch.remove)
        d = Daemon(scratch.path, config=CONFIG + "\n[plugins.'io.containerd.grpc.v1.cri']\n" + text)
        self.addCleanup(d.stop)
        return d

    def test_a_key_pair_is_whole_or_not_there(self):
        for text, words in (("enable_tls_streaming = true\n[plugins.'io.containerd.grpc.v1.cri'.x509_key_pair_streaming]\ntls_cert_file = '/x'\n", "must set X509KeyPairStreaming.TLSKeyFile"),
                            ("[plugins.'io.containerd.grpc.v1.cri'.x509_key_pair_streaming]\ntls_cert_file = '/x'\n", "EnableTLSStreaming is not set"),
                            ("enable_tls_streaming = true\n[plugins.'io.containerd.grpc.v1.cri'.x509_key_pair_streaming]\ntls_cert_file = '/x'\ntls_key_file = '/y'\n", "failed to create stream server: TLS: certificate /x: ")):
            with self.assertRaises(AssertionError) as caught:
                self.start(text).start()
            self.assertIn(words, str(caught.exception))

    def test_idle_connections_end(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        d = self.start(f"stream_server_port = '{port}'\nstream_server_address = '127.0.0.1'\nstream_idle_timeout = '300ms'\n")
        # what a daemon leaves that is killed while it makes an exec
        left = d.state / "io.casco.cri" / "stdio" / "AbCdEf"
        left.mkdir(parents=True)
        os.mkfifo(left / "stdout")
        d.start()
        self.assertEqual(list(left.parent.iterdir()), [])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            began = time.monotonic()
            self.assertEqual(s.recv(1), b"")
            self.assertLess(time.monotonic() - began, 3)
        self.assertIn("streaming server started", d.log())

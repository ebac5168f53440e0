"""[grpc] tcp_address: in clear text, by TLS, and by TLS with certificates of clients; the client is grpc's own (Debian's python3-grpcio)."""
import contextlib
import pathlib
import socket
import ssl
import subprocess
import sys
import time
import unittest

from casco import CONFIG, Daemon, Scratch, free_port, run, wait_for

HEALTH, VERSION = "/grpc.health.v1.Health/Check", "/containerd.services.version.v1.Version/Version"


def ask(address, method, size=0, files=(), n=1):
    """Status codes of n connections with a call each whose message has a string of that size; files: ca, key, certificate."""
    r = subprocess.run(["/usr/bin/python3", __file__, address, method, str(size), str(n), *map(str, files)], capture_output=True, text=True,
                       check=False, timeout=60)
    if r.returncode:
        raise AssertionError(r.stderr)
    return r.stdout.split()


def client(address, method, size, n, *files):
    import grpc
    data = [pathlib.Path(f).read_bytes() for f in files]
    text = b"x" * int(size)
    length, left = b"", len(text)
    while left:
        length, left = length + bytes([left & 0x7f | (0x80 if left > 0x7f else 0)]), left >> 7
    message = b"\x0a" + length + text if text else b""
    channels = [grpc.secure_channel(address, grpc.ssl_channel_credentials(*data), [("grpc.use_local_subchannel_pool", 1)]) if data
                else grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(int(n))]
    calls = [c.unary_unary(method).future(message, timeout=20) for c in channels]
    for c in calls:
        print((c.code() or grpc.StatusCode.UNKNOWN).name)


def make_certificates(folder):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={ca}",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", f"{name}.pem")


class Tcp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.folder = cls.scratch.path / "pki"
        cls.folder.mkdir()
        make_certificates(cls.folder)
        cls.port = free_port()
        cls.daemon = cls.daemon_with("tls", f"""
  tcp_address = '127.0.0.1:{cls.port}'
  tcp_tls_cert = '{cls.folder}/server.pem'
  tcp_tls_key = '{cls.folder}/server.key'
  tcp_tls_ca = '{cls.folder}/ca.pem'
""").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.address = f"127.0.0.1:{cls.port}"
        cls.ours = [cls.folder / n for n in ("ca.pem", "client.key", "client.pem")]

    @classmethod
    def daemon_with(cls, name, grpc):
        base = cls.scratch.path / name
        base.mkdir()
        return Daemon(base, config=CONFIG.replace("[grpc]", "[grpc]" + grpc))

    def test_who_has_a_certificate_is_answered(self):
        self.assertEqual(ask(self.address, HEALTH, files=self.ours), ["OK"])
        # and gets nothing that would make him root here
        self.assertEqual(ask(self.address, VERSION, files=self.ours), ["UNIMPLEMENTED"])
        self.assertEqual(ask(self.address, HEALTH, files=self.ours, n=40), ["OK"] * 40)

    def test_who_has_none_is_not(self):
        for files in (self.ours[:1], [self.ours[0], self.folder / "stranger.key", self.folder / "stranger.pem"], []):
            self.assertEqual(ask(self.address, HEALTH, files=files), ["UNAVAILABLE"], files)
        self.assertEqual(ask(self.address, HEALTH, files=[self.folder / "other.pem", *self.ours[1:]]), ["UNAVAILABLE"])

    def test_long_messages(self):
        self.assertEqual(ask(self.address, HEALTH, 5_000_000, self.ours, 3), ["NOT_FOUND"] * 3)  # a service of that name
        self.assertEqual(ask(self.address, HEALTH, 17_000_000, self.ours), ["RESOURCE_EXHAUSTED"])

    def context(self, *protocols):
        c = ssl.create_default_context(cafile=self.ours[0])
        c.load_cert_chain(self.ours[2], self.ours[1])
        if protocols:
            c.set_alpn_protocols(protocols)
        return c

    def test_what_is_no_http2(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s, self.assertRaises(ssl.SSLError):
            self.context("http/1.1").wrap_socket(s, server_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while s.recv(1000):  # an alert, then the end
                    pass
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s, \
                self.context("h2").wrap_socket(s, server_hostname="127.0.0.1") as t:
            self.assertEqual((t.selected_alpn_protocol(), t.version()), ("h2", "TLSv1.3"))
        self.assertEqual(ask(self.address, HEALTH, files=self.ours), ["OK"])

    def test_nobody_keeps_it_by_saying_nothing(self):
        """Descriptors are back after the time for a handshake, and those of who broke off at once."""
        fds = pathlib.Path(f"/proc/{self.daemon.process.pid}/fd")
        before, began = len(list(fds.iterdir())), time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(30)]
        wait_for("their arrival", lambda: len(list(fds.iterdir())) >= before + 30)
        self.assertEqual(ask(self.address, HEALTH, files=self.ours), ["OK"])
        wait_for("their end", lambda: len(list(fds.iterdir())) <= before, 20)
        self.assertGreater(time.monotonic() - began, 4)
        for s in silent:
            s.close()

    def test_in_clear_text(self):
        port = free_port()
        daemon = self.daemon_with("plain", f"\n  tcp_address = '127.0.0.1:{port}'\n").start()
        try:
            self.assertEqual(ask(f"127.0.0.1:{port}", HEALTH), ["OK"])
            self.assertEqual(ask(f"127.0.0.1:{port}", VERSION), ["UNIMPLEMENTED"])
            self.assertIn("needs no certificate", daemon.log())
        finally:
            daemon.stop()

    def test_kubernetes_services_where_the_operator_wants_them(self):
        method, port = "/runtime.v1.RuntimeService/Version", free_port()
        self.assertEqual(ask(self.address, method, files=self.ours), ["UNIMPLEMENTED"])
        daemon = self.daemon_with("cri", f"\n  tcp_address = '127.0.0.1:{port}'\n")
        with daemon.config.open("a") as f:
            f.write("[plugins.'io.containerd.grpc.v1.cri']\n  disable_tcp_service = false\n")
        daemon.start()
        try:
            self.assertEqual(ask(f"127.0.0.1:{port}", method), ["OK"])
            self.assertEqual(ask(f"127.0.0.1:{port}", VERSION), ["UNIMPLEMENTED"])
        finally:
            daemon.stop()

    def test_files_that_are_not_usable(self):
        good = f"tcp_tls_cert = '{self.folder}/server.pem'\n  tcp_tls_key = '{self.folder}/"
        for i, (lines, text) in enumerate(((good + "client.key'", "TLS: key "), (good + "none.key'", "none.key"),
                                           (f"tcp_tls_cert = '{self.folder}/server.pem'", "tcp_tls_cert and tcp_tls_key go together"),
                                           (good + f"server.key'\n  tcp_tls_ca = '{self.folder}/names'", "TLS: certificates of "))):
            daemon = self.daemon_with(f"bad-{i}", f"\n  tcp_address = '127.0.0.1:{free_port()}'\n  {lines}\n")
            r = run([daemon.binary, "--config", daemon.config], check=False)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn(text, r.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        client(*sys.argv[1:])
    else:
        unittest.main()

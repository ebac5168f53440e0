"""Registries as operators configure them: credentials of auth.toml, docker's file and helpers, `ctr registry check`,
limits; and many clients that want the same."""
import base64
import json
import os
import pathlib
import subprocess
import tarfile
import threading
import time

from casco import DaemonTest, wait_for
from registry import layer
from stub_registry import Stub


def basic(user, secret):
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


class OwnCredentials(DaemonTest):
    images = False

    def setUp(self):
        self.stub = Stub()
        self.addCleanup(self.stub.stop)
        self.stub.image([layer([("a", b"1")])])
        self.wanted = basic("me", "s3cret")
        self.stub.rule("/v2/", self.guard)
        self.file = pathlib.Path(self.daemon.certs, "auth.toml")
        self.addCleanup(lambda: self.file.unlink(missing_ok=True))

    def tearDown(self):
        super().tearDown()
        self.ctr("images", "rm", "--sync", self.stub.reference, check=False)

    def guard(self, h):
        if h.headers.get("Authorization") == self.wanted:
            return self.stub.serve(h)
        return h.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="r"'})

    def write(self, text, mode=0o600):
        self.file.write_text(text)
        self.file.chmod(mode)

    def pull(self, *flags):
        return self.ctr("images", "pull", *flags, self.stub.reference, check=False)

    def works(self, *flags):
        r = self.pull(*flags)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.ctr("images", "rm", "--sync", self.stub.reference)

    def fails(self, text):
        r = self.pull()
        self.assertNotEqual(r.returncode, 0)
        self.assertIn(text, r.stderr)
        self.assertNotIn("s3cret", r.stderr + self.daemon.log())

    def table(self, host):
        return f'[auth."{host}"]\nusername = "me"\npassword = "s3cret"\n'

    def test_table(self):
        """Read anew for each transfer, by the daemon and by a client that fetches by itself."""
        self.fails("no basic auth credentials")
        self.write(self.table(self.stub.host))
        self.works()
        self.works("--local", "--plain-http", "--hosts-dir", self.daemon.certs)
        self.write(self.table("127.0.0.1"))  # another port is another registry
        self.fails("no basic auth credentials")
        self.assertEqual([a for _, to, _, h in self.stub.seen if (a := h.get("Authorization")) not in (None, self.wanted)], [])

    def test_what_the_client_gives_counts_first(self):
        self.write(self.table(self.stub.host).replace("s3cret", "old"))
        self.works("--user", "me:s3cret")

    def test_a_file_that_others_can_read(self):
        self.write(self.table(self.stub.host), 0o644)
        self.fails("auth.toml holds secrets: it must be a file of root's with mode 0600")

    def test_a_file_that_is_none(self):
        self.write(f'[auth."{self.stub.host}"]\nusername = "me"\n')
        self.fails("needs username and password, identity_token or credential_helper")

    def docker(self, document):
        path = self.scratch.path / "config.json"
        path.write_text(json.dumps(document))
        self.write(f'docker_config = "{path}"\n')

    def test_docker_login(self):
        self.docker({"auths": {f"http://{self.stub.host}/v1/": {"auth": self.wanted.partition(" ")[2]}}})
        self.works()
        self.docker({"auths": {"other.example": {"auth": self.wanted.partition(" ")[2]}}})
        self.fails("no basic auth credentials")

    def test_helpers(self):
        """One that fails is no reason to try another."""
        path = pathlib.Path("/usr/local/bin/docker-credential-casco-test")
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        path.write_text('#!/bin/sh\nread host\n[ "$1 $host" = "get ' + self.stub.host + '" ] || exit 1\n'
                        'echo \'{"ServerURL": "", "Username": "me", "Secret": "s3cret"}\'\n')
        path.chmod(0o755)
        self.docker({"credHelpers": {self.stub.host: "casco-test"}})
        self.works()
        self.write('credential_helper = "casco-test"\n')
        self.works()
        path.write_text("#!/bin/sh\necho the vault is locked\nexit 1\n")
        self.docker({"credHelpers": {self.stub.host: "casco-test"},
                     "auths": {self.stub.host: {"auth": self.wanted.partition(" ")[2]}}})
        self.fails("docker-credential-casco-test: exit status 1: the vault is locked")
        self.docker({"credsStore": "../../bin/sh"})
        self.fails('credential helper "../../bin/sh": invalid name')

    def check(self, what, check=True):
        return self.ctr("registry", "check", "--hosts-dir", self.daemon.certs, what, check=check)

    def test_check(self):
        folder = self.daemon.certs / "mirrored.example"
        folder.mkdir()
        (folder / "hosts.toml").write_text(
            f'server = "http://127.0.0.1:1"\n[host."http://{self.stub.host}"]\n  capabilities = ["pull"]\n'
            '  dial_timeout = "2s"\n  [host."http://' + self.stub.host + '".header]\n    X-Secret = "s3cret"\n')
        self.write(self.table(self.stub.host))
        self.stub.rules.insert(0, ["/tags/list", None, lambda h: h.answer(
            200, b"{}", {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "7;w=21600"})
            if h.headers.get("Authorization") else self.guard(h)])
        r = self.check("mirrored.example/x/y", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("1 of the hosts of mirrored.example did not answer", r.stderr)
        for text in (f"http://{self.stub.host}/v2/x/y/tags/list?n=1&ns=mirrored.example", "capabilities: pull", "TLS: none, plain HTTP",
                     "header: X-Secret", f"credential: user me, from {self.file}, sent as Basic", "answer: 200, HTTP/1.1 from 127.0.0.1",
                     "rate limit: 100;w=21600, remaining 7;w=21600", "dial tcp 127.0.0.1:1: connect: connection refused"):
            self.assertIn(text, r.stdout)
        self.assertNotIn("s3cret", r.stdout + r.stderr)
        self.assertIn("answer: 200", self.check(self.stub.host).stdout)
        self.assertIn("is no host of a registry", self.check("busybox", check=False).stderr)

    def test_a_limit_that_is_reached(self):
        self.stub.rules.insert(0, ["/manifests/", None, lambda h: h.answer(429, b"{}", {
            "Retry-After": "0", "RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"})])
        self.fails("429 Too Many Requests: rate limit 100;w=21600, remaining 0;w=21600")

    def test_retry_after_a_date(self):
        again = time.time() + 2
        self.write(self.table(self.stub.host))
        self.stub.rules.insert(0, ["/manifests/", 1, lambda h: h.answer(429, b"{}", {
            "Retry-After": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(again))})])
        self.works()
        self.assertGreaterEqual(time.time(), int(again) - 0.1)


class Together(DaemonTest):
    """Many pulls of one image are one."""
    images = False

    def setUp(self):
        self.stub = Stub()
        self.addCleanup(self.stub.stop)
        self.stub.image([layer([(f"d/{i}", os.urandom(40000)), ("d", None)]) for i in range(6)])
        self.open = threading.Event()

        def slow(h):
            self.open.wait(30)
            self.stub.serve(h)
        self.stub.rule(f"/blobs/{self.stub.layer}", slow)

    def tearDown(self):
        super().tearDown()
        self.ctr("images", "rm", "--sync", self.stub.reference, check=False)

    def client(self):
        return subprocess.Popen(self.daemon.command("images", "pull", self.stub.reference), env=self.daemon.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def start(self, n):
        jobs = [self.client() for _ in range(n)]
        wait_for("the layer to be asked for", lambda: any(self.stub.layer in p for _, _, p, _ in self.stub.seen))
        time.sleep(0.5)  # all of them are there
        return jobs

    def gets(self, what):
        return len([p for m, _, p, _ in self.stub.seen if m == "GET" and what in p])

    def test_one_pull_for_all(self):
        jobs = self.start(6)
        self.open.set()
        for j in jobs:
            out, err = j.communicate(timeout=60)
            self.assertEqual(j.returncode, 0, err)
            self.assertIn(self.stub.reference, out)
        self.assertEqual(self.gets(self.stub.layer), 1)
        self.assertEqual(self.gets("/manifests/"), 1)
        self.assertEqual(self.ctr("images", "check", "-q").stdout.split(), [self.stub.reference])
        self.assertEqual(len(self.ctr("snapshots", "ls").stdout.splitlines()), 1 + 6)

    def test_the_first_goes_away(self):
        """The others do it without him."""
        first, = self.start(1)
        others = [self.client() for _ in range(2)]
        time.sleep(0.5)
        first.kill()
        first.communicate(timeout=20)
        self.open.set()
        for j in others:
            _, err = j.communicate(timeout=60)
            self.assertEqual(j.returncode, 0, err)
        self.assertEqual(self.ctr("images", "check", "-q").stdout.split(), [self.stub.reference])

    def test_all_fail_alike(self):
        jobs = self.start(3)
        self.stub.blobs[self.stub.layer] = b"x" * len(self.stub.blobs[self.stub.layer])
        self.open.set()
        for j in jobs:
            _, err = j.communicate(timeout=60)
            self.assertNotEqual(j.returncode, 0)
            self.assertIn("unexpected commit digest", err)
        self.assertEqual(len(self.ctr("snapshots", "ls").stdout.splitlines()), 1)


class SideBySide(DaemonTest):
    """Layers that need those below them, which are still being unpacked."""
    images = False

    def test_what_a_layer_takes_from_below(self):
        stub = Stub()
        self.addCleanup(stub.stop)
        low = tarfile.TarInfo("etc/deep")
        low.type, low.mode, low.uid = tarfile.DIRTYPE, 0o1770, 7
        link = tarfile.TarInfo("hard")
        link.type, link.linkname = tarfile.LNKTYPE, "etc/file"
        first = stub.image([
            layer([("etc", None), (low, None), ("etc/file", b"below"), ("lib", "-> etc"), ("gone", b"1"), ("pad", os.urandom(3 << 20))]),
            layer([("etc/deep/new", b"a folder that only the layer below has")]),
            layer([(link, None)]),  # a file of the lowest
            layer([("lib/through", b"a link of the lowest")]),
            layer([(".wh.gone", b""), ("etc/.wh..wh..opq", b""), ("etc/only", b"x")]),
            layer([("top", b"1")])])
        self.assertEqual(len(first["layers"]), 6)
        lowest = first["layers"][0]["digest"]

        def late(h):
            time.sleep(1)  # all above it are here, and have to wait
            stub.serve(h)
        stub.rule(f"/blobs/{lowest}", late)
        self.ctr("images", "pull", "--plain-http", stub.reference)
        target = self.scratch.path / "m"
        target.mkdir()
        self.ctr("images", "mount", stub.reference, target)
        self.addCleanup(self.ctr, "images", "unmount", target)
        self.assertEqual((target / "hard").read_text(), "below")
        self.assertEqual(sorted(os.listdir(target / "etc")), ["only"])
        self.assertFalse((target / "gone").exists())
        self.assertTrue((target / "top").exists())
        # what the opaque folder hides is in the layers, with its owner and mode
        found = [p for p in pathlib.Path(self.daemon.root).rglob("etc/deep/new")]
        self.assertEqual(len(found), 1)
        st = found[0].parent.stat()
        self.assertEqual((st.st_mode & 0o7777, st.st_uid), (0o1770, 7))
        self.assertEqual(len([p for p in pathlib.Path(self.daemon.root).rglob("etc/through")]), 1)

"""Pushes to a real registry (Debian's docker-registry), with and without a password, over TLS and not."""
import base64
import hashlib
import json
import pathlib
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from casco import DaemonTest
from registry import Authority, Registry, write_hosts


class Push(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.scratch.path / "registry", Authority(cls.scratch.path / "ca"))
        cls.addClassCleanup(cls.registry.stop)
        write_hosts(cls.daemon.certs, cls.registry.host, cls.registry)
        hosts = cls.daemon.certs / cls.registry.host / "hosts.toml"
        hosts.write_text(hosts.read_text().replace('"resolve"', '"resolve", "push"'))

    def digest(self, name):
        return next(line.split()[2] for line in self.ctr("images", "list").stdout.splitlines() if line.split()[0] == name)

    def uploads(self):
        """Blobs that were really sent: each is a folder of the registry's repository."""
        return sorted(p.parent.name for p in pathlib.Path(self.registry.folder).glob("data/docker/registry/v2/repositories/*/*/_layers/sha256/*/link"))

    def test_push_and_pull_again(self):
        name = f"{self.registry.host}/team/app:1"
        self.ctr("images", "push", name, self.IMAGE)
        status, body, _ = self.registry.request("HEAD", "/v2/team/app/manifests/1", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        self.assertEqual(status, 200)
        self.ctr("images", "pull", name)
        self.assertEqual(self.digest(name), self.digest(self.IMAGE))
        # Nothing is sent twice, and another tag costs one manifest.
        before = self.uploads()
        r = self.ctr("images", "push", f"{self.registry.host}/team/app:2", self.IMAGE)
        self.assertIn("exists", r.stdout)
        self.assertEqual(self.uploads(), before)
        # Into another repository of the registry: mounted there by the label that the pull left.
        self.ctr("images", "push", f"{self.registry.host}/team/copy:1", name)
        self.assertEqual(self.registry.request("HEAD", "/v2/team/copy/manifests/1", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})[0], 200)
        self.ctr("images", "rm", name)

    def test_failures(self):
        r = self.ctr("images", "push", "example.com/nosuch:1", check=False)
        self.assertIn("not found", r.stderr)
        r = self.ctr("images", "push", f"{self.registry.host}/Bad:1", self.IMAGE, check=False)
        self.assertNotEqual(r.returncode, 0)

    def test_debians_own_client_reads_it(self):
        name = f"{self.registry.host}/team/debian:1"
        self.ctr("images", "push", name, self.IMAGE)
        if pathlib.Path("/usr/bin/ctr").exists():
            self.ctr("images", "pull", "--hosts-dir", self.daemon.certs, name, binary="/usr/bin/ctr")
            self.assertEqual(self.digest(name), self.digest(self.IMAGE))
            self.ctr("images", "rm", name)


class Guarded(BaseHTTPRequestHandler):
    """A registry in a few lines that wants a password for every step, and breaks one upload on purpose."""
    protocol_version = "HTTP/1.1"
    blobs, manifests, broken, seen, elsewhere = {}, {}, [], [], ""

    def log_message(self, *_):
        pass

    def answer(self, status, **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def may(self):
        self.seen.append((self.command, self.path, self.headers.get("Authorization")))
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode():
            return True
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(401, WWW_Authenticate='Basic realm="here"')
        return False

    def do_HEAD(self):
        if self.may():
            kind, name = self.path.rsplit("/", 2)[1:]
            self.answer(200 if name in (self.manifests if kind == "manifests" else self.blobs) else 404)

    def do_POST(self):
        if self.may():
            self.answer(202, Location="/upload/1?state=x")

    def do_PUT(self):
        if not self.may():
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/manifests/" in self.path:
            self.manifests[self.path.rsplit("/", 1)[1]] = body
        elif not self.broken:
            self.broken.append(self.path)
            return self.answer(404)  # the session is gone: begin again
        else:
            digest = self.path.partition("digest=")[2].replace("%3A", ":")
            assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
            self.blobs[digest] = body
        return self.answer(201)


class WithPassword(DaemonTest):
    def test_password_and_a_lost_session(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        name = f"127.0.0.1:{server.server_port}/x/y:tag"
        r = self.ctr("images", "push", "--plain-http", name, self.IMAGE, check=False)
        self.assertIn("no basic auth credentials", r.stderr)
        self.ctr("images", "push", "--plain-http", "-u", "me:secret", name, self.IMAGE)
        manifest = json.loads(Guarded.manifests["tag"])
        self.assertEqual(sorted(Guarded.blobs), sorted(d["digest"] for d in [manifest["config"], *manifest["layers"]]))
        self.assertEqual(len(Guarded.broken), 1)


if __name__ == "__main__":
    unittest.main()

"""Pulls and imports as they should go: formats, mirrors, two at once, workers and daemons that die."""
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import time
import unittest

from casco import Daemon, DaemonTest, Scratch, wait_for
from registry import Authority, Registry, busybox_layer, layer, mkimage, write_hosts
from stub_registry import Stub

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"


def workers(daemon):
    found = []
    for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return [int(p) for p in found]


def docker_archive(path, layers, names):
    """What `docker save` of old writes: manifest.json, a config, a folder a layer."""
    config = json.dumps({"os": "linux", "architecture": mkimage.ARCHITECTURES[os.uname().machine],
                         "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": [mkimage.digest(x) for x in layers]}}).encode()
    with tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        listed = []
        for i, data in enumerate(layers):
            mkimage.entry(tar, f"{i:064x}", 0o755)
            mkimage.entry(tar, f"{i:064x}/layer.tar", 0o644, data=data)
            listed.append(f"{i:064x}/layer.tar")
        name = mkimage.digest(config).partition(":")[2] + ".json"
        mkimage.entry(tar, name, 0o644, data=config)
        mkimage.entry(tar, "manifest.json", 0o644, data=json.dumps(
            [{"Config": name, "RepoTags": names, "Layers": listed}]).encode())


class Transfers(DaemonTest):
    images = False

    def setUp(self):
        self.stub = Stub()
        self.addCleanup(self.stub.stop)

    def runs(self, image, *command):
        return self.ctr("run", "--rm", image, "c" + str(time.monotonic_ns()), *command).stdout

    def test_zstd_and_plain_layers(self):
        for media, pack in ((PLAIN, lambda d: d), (ZSTD, self.zstd)):
            data = layer([("which", media.encode())])
            m = self.stub.image([busybox_layer(), data], packed=pack(data))
            m["layers"][-1]["mediaType"] = media
            self.stub.manifest(m)
            self.ctr("images", "pull", self.stub.reference)
            self.assertEqual(self.runs(self.stub.reference, "cat", "/which"), media)

    @staticmethod
    def zstd(data):
        return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout

    def test_docker_archive(self):
        path = self.scratch.path / "docker.tar"
        docker_archive(path, [busybox_layer(), layer([("hello", b"from docker save\n")])],
                       ["saved:1", "example.org/saved:2"])
        self.ctr("images", "import", path)
        names = self.ctr("images", "list", "-q").stdout.split()
        for name in ("docker.io/library/saved:1", "example.org/saved:2"):
            self.assertIn(name, names)
            self.assertEqual(self.runs(name, "cat", "/hello"), "from docker save\n")

    def test_compressed_archive(self):
        path = self.scratch.path / "docker.tar"
        docker_archive(path, [busybox_layer()], ["packed:1"])
        packed = self.scratch.path / "docker.tar.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        self.ctr("images", "import", packed)
        self.assertEqual(self.runs("docker.io/library/packed:1", "echo", "hi"), "hi\n")

    def test_whiteouts_and_links(self):
        """An upper layer removes, hides, replaces and links what a lower one brought."""
        hard = tarfile.TarInfo("d2/hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "d2/one"
        self.stub.image([
            busybox_layer(),
            layer([("gone", b"x"), ("d", None), ("d/a", b"a"), ("d/b", b"b"), ("o", None), ("o/old", b"x"),
                   ("f", b"file"), ("e", None), ("e/x", b"x")]),
            layer([(".wh.gone", b""), ("d", None), ("d/.wh.a", b""), ("o", None), ("o/new", b"x"),
                   ("o/.wh..wh..opq", b""), ("f", None), ("f/now-a-folder", b"1"), ("e", b"now a file"),
                   ("d2", None), ("d2/one", b"1"), (hard, None)])])
        for snapshotter in ("overlayfs", "native"):
            self.ctr("images", "pull", "--snapshotter", snapshotter, self.stub.reference)
            out = self.ctr("run", "--rm", "--snapshotter", snapshotter, self.stub.reference, "w-" + snapshotter, "sh",
                           "-c", "ls -d gone 2>&1; ls d; ls o; ls f; cat e; echo; stat -c %h d2/hard").stdout
            self.assertEqual(out.splitlines()[1:], ["b", "new", "now-a-folder", "now a file", "2"], out)

    def test_two_pulls_of_the_same_at_once(self):
        self.stub.image([busybox_layer(), layer([("big", os.urandom(20 << 20))])])
        procs = [subprocess.Popen(self.daemon.command("images", "pull", self.stub.reference), text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
        for p in procs:
            _, err = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0, err)
        self.assertEqual(self.runs(self.stub.reference, "echo", "ok"), "ok\n")

    def slow(self, data, rate=4 << 20):
        def answer(h):
            h.send_response(200)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            for at in range(0, len(data), rate // 10):
                h.wfile.write(data[at:at + rate // 10])
                time.sleep(0.1)
        return answer

    def start_slow_pull(self):
        self.stub.image([busybox_layer(), layer([("big", os.urandom(16 << 20))])])
        self.stub.rule(self.stub.layer, self.slow(self.stub.blobs[self.stub.layer]), times=1)
        p = subprocess.Popen(self.daemon.command("images", "pull", self.stub.reference), text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for("the slow layer's request", lambda: [1 for _, _, path, _ in self.stub.seen if self.stub.layer in path])
        time.sleep(1)
        return p

    def test_layers_of_an_image_that_is_removed_meanwhile(self):
        """They are there when the pull begins: what it means to build upon must not be collected till then."""
        own = layer([("own", os.urandom(1000))])
        self.stub.image([busybox_layer(), own])
        self.ctr("images", "pull", self.stub.reference)
        self.stub.image([busybox_layer(), own, layer([("big", os.urandom(8 << 20))])])
        self.stub.rule(self.stub.layer, self.slow(self.stub.blobs[self.stub.layer]), times=1)
        p = subprocess.Popen(self.daemon.command("images", "pull", self.stub.reference), text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for("the slow layer's request", lambda: [1 for _, _, path, _ in self.stub.seen if self.stub.layer in path])
        time.sleep(0.5)
        self.ctr("images", "remove", "--sync", self.stub.reference)
        _, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0, err)
        self.assertEqual(self.runs(self.stub.reference, "echo", "ok"), "ok\n")

    def test_a_worker_that_is_killed(self):
        p = self.start_slow_pull()
        found = workers(self.daemon)
        self.assertEqual(len(found), 1)
        os.kill(found[0], signal.SIGKILL)
        _, err = p.communicate(timeout=20)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("signal 9", err)
        wait_for("the worker's end", lambda: workers(self.daemon) == [], 5)
        self.ctr("images", "pull", self.stub.reference)

    def test_a_client_that_goes_away(self):
        p = self.start_slow_pull()
        p.kill()
        p.communicate()
        wait_for("the worker's end", lambda: workers(self.daemon) == [], 10)

    def test_a_daemon_that_is_killed(self):
        """The worker ends with it; the next pull is as good as the first."""
        p = self.start_slow_pull()
        found = workers(self.daemon)
        self.daemon.kill()
        p.communicate(timeout=20)
        wait_for("the worker's end", lambda: not any(os.path.exists(f"/proc/{w}") for w in found), 5)
        self.daemon.start()
        self.ctr("images", "pull", self.stub.reference)
        self.assertEqual(self.runs(self.stub.reference, "echo", "ok"), "ok\n")

    def test_what_a_worker_may(self):
        p = self.start_slow_pull()
        try:
            worker = workers(self.daemon)[0]
            status = dict(line.split(":\t", 1) for line in open(f"/proc/{worker}/status", encoding="ascii")
                          if ":\t" in line)
            self.assertEqual(status["NoNewPrivs"].strip(), "1")
            self.assertEqual(status["Seccomp"].strip(), "2")
            self.assertNotEqual(os.readlink(f"/proc/{worker}/ns/mnt"), os.readlink("/proc/self/ns/mnt"))
            limits = open(f"/proc/{worker}/limits", encoding="ascii").read()
            self.assertNotIn("Max address space         unlimited", limits)
            targets = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")]
            self.assertFalse([t for t in targets if t.endswith(".mdb") or "c.sock" in t], targets)
        finally:
            p.kill()
            p.communicate()
        wait_for("the worker's end", lambda: workers(self.daemon) == [], 10)


class Mirrors(unittest.TestCase):
    """certs.d in its styles: hosts.toml with a CA, Docker's folder of *.crt, a mirror that lacks the image."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.authority = Authority(cls.scratch.path / "ca")
        cls.tls = Registry(cls.scratch.path / "tls", cls.authority)
        cls.addClassCleanup(cls.tls.stop)
        cls.empty = Registry(cls.scratch.path / "empty")
        cls.addClassCleanup(cls.empty.stop)
        cls.tls.push("library/small", "1", [layer([("a", b"1")])], index=True)
        cls.daemon = Daemon(cls.scratch.path)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)

    def tearDown(self):
        for name in self.daemon.ctr("images", "list", "-q").stdout.split():
            self.daemon.ctr("images", "remove", "--sync", name)
        shutil.rmtree(self.daemon.certs)
        self.daemon.certs.mkdir()

    def pull(self, name, check=True):
        return self.daemon.ctr("images", "pull", name, check=check)

    def test_stand_in_for_docker_io(self):
        write_hosts(self.daemon.certs, "docker.io", self.tls)
        self.pull("small:1")
        self.assertIn("docker.io/library/small:1", self.daemon.ctr("images", "list", "-q").stdout)

    def test_a_ca_that_nobody_gave(self):
        write_hosts(self.daemon.certs, "docker.io", self.tls)
        hosts = self.daemon.certs / "docker.io" / "hosts.toml"
        hosts.write_text("\n".join(x for x in hosts.read_text().splitlines() if "ca =" not in x))
        r = self.pull("small:1", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("certificate", r.stderr)

    def test_skip_verify(self):
        folder = self.daemon.certs / "docker.io"
        folder.mkdir()
        (folder / "hosts.toml").write_text(f'[host."{self.tls.url}"]\n  skip_verify = true\n')
        self.pull("small:1")

    def test_folder_of_certificates(self):
        folder = self.daemon.certs / self.tls.host
        folder.mkdir()
        shutil.copy(self.authority.ca, folder / "ca.crt")
        self.pull(f"{self.tls.host}/library/small:1")

    def test_the_next_host_when_a_mirror_lacks_it(self):
        folder = self.daemon.certs / "docker.io"
        folder.mkdir()
        (folder / "hosts.toml").write_text(
            f'[host."{self.empty.url}"]\n  capabilities = ["pull", "resolve"]\n'
            f'[host."{self.tls.url}"]\n  capabilities = ["pull", "resolve"]\n  ca = ["{self.authority.ca}"]\n')
        self.pull("small:1")

    def test_a_hosts_toml_that_is_none(self):
        folder = self.daemon.certs / "docker.io"
        folder.mkdir()
        (folder / "hosts.toml").write_text('[host."x"\n')
        r = self.pull("small:1", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("hosts.toml: line 1", r.stderr)


del DaemonTest  # a base, not a test

if __name__ == "__main__":
    unittest.main()

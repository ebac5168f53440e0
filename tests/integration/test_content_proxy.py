"""A content store in another program (proxy_plugins of type content): that of our own daemon, and of Debian's."""
import hashlib
import pathlib
import subprocess
import unittest

import rpc
from casco import CONFIG, CONFIG_V2, SHARE, Daemon, DaemonTest, Scratch, run, wait_for

CONTENT = "containerd/services/content/v1/content.proto"
OTHER = "/usr/bin/containerd"


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def read(daemon, digest, offset, size):
    request = rpc.protoc("encode", "containerd.services.content.v1.ReadContentRequest", CONTENT,
                         f'digest: "{digest}" offset: {offset} size: {size}'.encode())
    got = b""
    for m in rpc.raw(daemon.address, "/containerd.services.content.v1.Content/Read", request, containerd_namespace="default"):
        at = varint(m, 1)[1] if m[0] == 8 else 0  # its offset
        n, at = varint(m, at + 1)
        got += m[at:at + n]
    return got


def proxied(address, disabled="'io.containerd.content.v1.content'"):
    head, _, rest = CONFIG.partition("\n")
    return f"""{head}
disabled_plugins = [{disabled}]
{rest}
[proxy_plugins.far]
  type = 'content'
  address = '{address}'
[plugins.'io.containerd.gc.v1.scheduler']  # only when we say so: some blobs here are nobody's
  schedule_delay = '1h'
  startup_delay = '0s'
"""


class Away(DaemonTest):
    """The other store is our own daemon's."""
    other_binary, other_config = None, CONFIG

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        places = [cls.scratch.path / n for n in ("other", "near")]
        for p in places:
            p.mkdir()
        cls.other = Daemon(places[0], binary=cls.other_binary, config=cls.other_config).start()
        cls.addClassCleanup(cls.other.stop)
        cls.daemon = Daemon(places[1], config=proxied(cls.other.address)).start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def there(self):
        return set(self.other.ctr("content", "ls", "-q").stdout.split())

    def here(self, *args):
        return set(self.ctr(*args, "content", "ls", "-q").stdout.split())

    def files(self):
        return [p for p in (self.daemon.root / "io.containerd.content.v1.content").rglob("*") if p.is_file()]

    def collect(self):
        self.ctr("images", "tag", self.IMAGE, "example.com/collect:now")
        self.ctr("images", "rm", "--sync", "example.com/collect:now")

    def test_it_is_listed_in_the_place_of_our_own(self):
        lines = [line.split()[:2] for line in self.ctr("plugins", "list").stdout.splitlines() if line.startswith("io.containerd.content.v1")]
        self.assertEqual(lines, [["io.containerd.content.v1", "far"]])

    def test_an_image_is_there_and_runs(self):
        self.assertTrue(self.here())
        self.assertEqual(self.here(), self.there())
        self.assertEqual(self.files(), [])
        self.assertEqual(self.ctr("run", "--rm", self.IMAGE, "box", "echo", "far").stdout, "far\n")
        self.assertIn("complete", self.ctr("images", "check").stdout)
        self.ctr("images", "export", self.scratch.path / "out.tar", self.IMAGE)
        self.ctr("-n", "second", "images", "import", self.scratch.path / "out.tar")
        self.assertGreaterEqual(len(self.here() & self.here("-n", "second")), 3)
        self.ctr("-n", "second", "images", "rm", "--sync", self.IMAGE)
        self.assertEqual(self.here(), self.there())

    def test_blobs_and_ranges_of_them(self):
        data = bytes(range(256)) * 12000
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        (self.scratch.path / "blob").write_bytes(data)
        with open(self.scratch.path / "blob", "rb") as f:
            subprocess.run(self.daemon.command("content", "ingest", "--expected-digest", digest, "some-ref"), stdin=f, check=True)
        self.assertIn(digest, self.there())
        self.ctr("content", "label", digest, "containerd.io/gc.root=yes")
        for offset, size in ((0, 0), (1000, 3000), (len(data) - 5, 0), (2_000_000, 5_000_000)):
            self.assertEqual(read(self.daemon, digest, offset, size), data[offset:offset + size if size else None])
        self.ctr("content", "rm", digest)
        self.collect()
        wait_for("the blob to go there, too", lambda: digest not in self.there())

    def test_what_others_have_there_stays(self):
        ours, theirs = ("sha256:" + hashlib.sha256(t).hexdigest() for t in (b"ours", b"theirs"))

        def put():
            """Debian's may collect it before it is labelled."""
            self.other.ctr("content", "ingest", "their-ref", input="theirs", check=False)
            return self.other.ctr("content", "label", theirs, "containerd.io/gc.root=yes", check=False).returncode == 0

        wait_for("their blob to be there and stay", put)
        self.ctr("content", "ingest", "our-ref", input="ours")
        self.ctr("content", "label", ours, "containerd.io/gc.root=yes")
        self.ctr("content", "rm", ours)
        self.collect()
        wait_for("ours to go", lambda: ours not in self.there())
        self.assertIn(theirs, self.there())
        self.other.ctr("content", "rm", theirs)

    def test_a_blob_that_is_lost_there(self):
        digest = "sha256:" + hashlib.sha256(b"lost").hexdigest()
        self.ctr("content", "ingest", "lost-ref", input="lost")
        self.ctr("content", "label", digest, "containerd.io/gc.root=yes")
        self.other.ctr("content", "rm", digest)
        r = self.ctr("content", "get", digest, check=False)
        self.assertIn(f"content store far: read {digest}", r.stderr)
        self.ctr("content", "rm", digest)

    def test_the_other_program_away(self):
        """What was written waits in its ingest; a start needs nobody."""
        self.other.stop()
        try:
            r = self.ctr("content", "ingest", "waits", input="patience", check=False)
            self.assertIn("content store far", r.stderr)
            self.assertIn("waits", self.ctr("content", "active").stdout)
            self.daemon.stop()
            self.daemon.start()
            self.assertTrue(self.here())
        finally:
            self.other.start()
        self.ctr("content", "ingest", "waits", input="patience")
        digest = "sha256:" + hashlib.sha256(b"patience").hexdigest()
        self.assertIn(digest, self.there())
        self.assertEqual(self.ctr("content", "get", digest).stdout, "patience")
        self.ctr("content", "rm", digest)

    def test_two_stores_are_one_too_many(self):
        config = self.scratch.path / "both.toml"
        config.write_text(proxied("/none", "").format(root="/r", state="/s", address="/s/a", certs="/c"))
        r = run([self.daemon.binary, "--config", config], check=False)
        self.assertIn('"far" is of type content, which the built-in store must make room for', r.stderr)


@unittest.skipUnless(pathlib.Path(OTHER).exists(), "needs Debian's containerd")
class AtDebians(Away):
    other_binary, other_config = OTHER, CONFIG_V2


if __name__ == "__main__":
    unittest.main()

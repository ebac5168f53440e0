"""What the daemon keeps on disk, seen from outside: nothing is left when nothing refers to it, a crash
loses no byte that was there, and a full disk is a clear error."""
import hashlib
import os
import shutil
import subprocess
import unittest

from casco import SHARE, Daemon, DaemonTest, Scratch, run, wait_for

DEBIAN_CTR = "/usr/bin/ctr"
CONTENT = "io.containerd.content.v1.content"


def files(daemon, below=""):
    return sorted(p for p in (daemon.root / CONTENT / below).rglob("*") if p.is_file())


def snapshot_dirs(daemon):
    return sorted(daemon.root.glob("io.containerd.snapshotter.v1.*/snapshots/*"))


@unittest.skipUnless(shutil.which(DEBIAN_CTR), "Debian's ctr is not installed")
class Store(DaemonTest):
    ctr_binary = DEBIAN_CTR
    images = False

    def test_everything_goes_with_the_image(self):
        for snapshotter in ("overlayfs", "native"):
            with self.subTest(snapshotter=snapshotter):
                self.ctr("images", "import", "--snapshotter", snapshotter, SHARE / "busybox.tar")
                self.assertEqual(self.ctr("run", "--rm", "--snapshotter", snapshotter, self.IMAGE, "one",
                                          "cat", "/etc/hostname", check=False).stderr.count("level=error"), 0)
                self.assertTrue(files(self.daemon, "blobs") and snapshot_dirs(self.daemon))
                self.ctr("images", "rm", "--sync", self.IMAGE)
                wait_for("the disk to be empty", lambda: not files(self.daemon) and not snapshot_dirs(self.daemon))
                self.assertEqual(self.ctr("content", "ls", "-q").stdout, "")
                self.assertEqual(len(self.ctr("snapshots", "--snapshotter", snapshotter, "ls").stdout.splitlines()), 1)

    def test_a_running_container_keeps_its_snapshots(self):
        self.ctr("images", "import", SHARE / "busybox.tar")
        self.running(name="keeps")
        self.ctr("images", "rm", "--sync", self.IMAGE)
        self.assertEqual(len(snapshot_dirs(self.daemon)), 2)
        self.assertIn("bin", self.ctr("tasks", "exec", "--exec-id", "x", "keeps", "ls", "/").stdout)

    def test_ingests(self):
        data = os.urandom(300_000)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        (self.scratch.path / "data").write_bytes(data)

        def ingest(want, ref):
            with open(self.scratch.path / "data", "rb") as f:
                return subprocess.run(self.daemon.command("content", "ingest", "--expected-digest", want, ref,
                                                          binary=DEBIAN_CTR),
                                      stdin=f, capture_output=True, text=True, timeout=60, check=False)
        wrong = "sha256:" + "0" * 64
        r = ingest(wrong, "bad")
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"unexpected commit digest {digest}, expected {wrong}: failed precondition", r.stderr)
        self.assertEqual(files(self.daemon, "blobs"), [])
        self.assertEqual(sum(p.stat().st_size for p in files(self.daemon) if p.name == "data"), 0)
        self.assertEqual(ingest(digest, "good").returncode, 0)
        self.assertEqual([p.name for p in files(self.daemon, "blobs")], [digest[7:]])
        got = subprocess.run(self.daemon.command("content", "get", digest, binary=DEBIAN_CTR), capture_output=True,
                             timeout=60, check=True).stdout
        self.assertEqual(hashlib.sha256(got).hexdigest(), digest[7:])
        r = self.ctr("content", "get", wrong, check=False)
        self.assertIn(f"content digest {wrong}: not found", r.stderr)
        self.ctr("content", "rm", digest)
        wait_for("the blob to go", lambda: not files(self.daemon, "blobs"))

    def test_private_modes(self):
        for p in (self.daemon.root, self.daemon.root / CONTENT, self.daemon.root / "io.containerd.metadata.v1.lmdb"):
            self.assertEqual(p.stat().st_mode & 0o777, 0o700, p)

    def active(self):
        return [line.split()[0] for line in self.ctr("content", "active").stdout.splitlines()[1:]]

    def test_kill_while_bytes_come_in(self):
        total = 40 << 20
        writer = subprocess.Popen(self.daemon.command("content", "ingest", "slow", binary=DEBIAN_CTR),
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        block = bytes(range(256)) * 4096
        writer.stdin.write(block)
        writer.stdin.flush()
        wait_for("bytes of the ingest", lambda: any(p.name == "data" and p.stat().st_size for p in files(self.daemon)))
        self.daemon.kill()
        writer.stdin.close()
        writer.wait()
        self.daemon.start()
        self.assertIn("slow", self.active())

        data = block * (total // len(block))
        (self.scratch.path / "whole").write_bytes(data)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(self.scratch.path / "whole", "rb") as f:
            r = subprocess.run(self.daemon.command("content", "ingest", "--expected-digest", digest, "--expected-size",
                                                   total, "slow", binary=DEBIAN_CTR),
                               stdin=f, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertNotIn("slow", self.active())


class FullDisk(unittest.TestCase):
    """The daemon's root on a tmpfs that holds less than the image."""

    def daemon_on(self, size):
        scratch = Scratch()
        self.addCleanup(scratch.remove)
        root = scratch.path / "small"
        root.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", root])
        self.addCleanup(run, ["umount", root])
        daemon = Daemon(scratch.path, root=root).start()
        self.addCleanup(daemon.stop)
        return daemon

    def check_import(self, daemon, ctr):
        r = daemon.ctr("images", "import", SHARE / "busybox.tar", check=False, binary=ctr)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("no space left on device", r.stderr)
        self.assertEqual(daemon.ctr("images", "ls", "-q", binary=ctr).stdout, "")
        wait_for("the disk to be empty", lambda: not files(daemon) and not snapshot_dirs(daemon))

    def test_no_room_for_the_blobs(self):
        self.check_import(self.daemon_on("800k"), None)

    def test_no_room_for_the_snapshot(self):
        self.check_import(self.daemon_on("1500k"), None)

    @unittest.skipUnless(shutil.which(DEBIAN_CTR), "Debian's ctr is not installed")
    def test_no_room_for_the_blobs_of_debians_ctr(self):
        self.check_import(self.daemon_on("800k"), DEBIAN_CTR)


if __name__ == "__main__":
    unittest.main()

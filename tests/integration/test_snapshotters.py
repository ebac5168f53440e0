"""Snapshotters beside the daemon's usual one: in another program, on another file system."""
import pathlib
import subprocess
import unittest

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, run, wait_for

PLUGIN = pathlib.Path(__file__).parent / "snapshot_plugin.py"
PROXIES = CONFIG.replace("version = 3\n", """version = 3
disabled_plugins = ['io.containerd.snapshotter.v1.native', 'io.containerd.snapshotter.v1.overlayfs']
""") + """
[proxy_plugins.native]
  type = 'snapshot'
  address = 'REMOTE'

[proxy_plugins.overlayfs]
  type = 'snapshot'
  address = 'unix://REMOTE'
  capabilities = ['rebase']
"""


class Proxy(DaemonTest):
    """Our daemon keeps names, a second one's Snapshots service the trees."""
    remote_binary = None

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        base = cls.scratch.path / "remote"
        base.mkdir()
        cls.remote = Daemon(base, binary=cls.remote_binary).start()
        cls.addClassCleanup(cls.remote.stop)
        cls.remote.ctr("leases", "create", "--id", "all")
        cls.socket = base / "plugin.sock"
        cls.addClassCleanup(lambda: cls.stop_plugin())
        cls.start_plugin()
        cls.daemon = Daemon(cls.scratch.path, config=PROXIES.replace("REMOTE", str(cls.socket))).start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", "--no-unpack", SHARE / "busybox.tar")

    @classmethod
    def start_plugin(cls):
        cls.plugin = subprocess.Popen(["/usr/bin/python3", PLUGIN, cls.socket, cls.remote.address, "all"])
        wait_for("the plugin's socket", cls.socket.exists)

    @classmethod
    def stop_plugin(cls):
        cls.plugin.kill()
        cls.plugin.wait()
        cls.socket.unlink(missing_ok=True)

    def remote_names(self, snapshotter):
        lines = self.remote.ctr("snapshots", "--snapshotter", snapshotter, "list").stdout.splitlines()
        return [line.split()[0] for line in lines[1:]]

    def sn(self, command, *args, **kw):
        return self.ctr("snapshots", command, "--snapshotter", self.snapshotter, *args, **kw)

    def test_containers(self):
        for self.snapshotter in ("overlayfs", "native"):
            r = self.ctr("run", "--rm", "--snapshotter", self.snapshotter, self.IMAGE, "p", "sh", "-c", "echo new >/new; cat /new")
            self.assertEqual(r.stdout, "new\n")
            layer = next(n for n in self.remote_names(self.snapshotter) if "/sha256:" in n)
            self.assertRegex(layer, "^default/[0-9]+/sha256:")
            # changed, committed, told apart; under our names here and the plugin's there
            parent = layer.split("/", 2)[2]
            mounts = self.scratch.path / f"mnt-{self.snapshotter}"
            mounts.mkdir()
            self.sn("prepare", "work", parent)
            for line in self.sn("mounts", mounts, "work").stdout.splitlines():
                run(line.split())
            (mounts / "etc/passwd").unlink()
            (mounts / "more").write_text("more\n")
            run(["umount", mounts])
            self.assertNotEqual(self.sn("usage", "work").stdout.splitlines()[1].split()[1:], ["0.0", "B", "0"])
            self.sn("commit", "done", "work")
            self.ctr("run", "--rm", "--snapshotter", self.snapshotter, self.IMAGE, "q", "true")
            self.sn("view", "look", "done")
            self.assertIn("cannot remove snapshot with child", self.sn("delete", "done", check=False).stderr)
            self.sn("delete", "look", "done")

    def test_garbage_goes_there_too(self):
        self.snapshotter = "overlayfs"
        self.sn("prepare", "gone")
        self.assertTrue(any(n.endswith("/gone") for n in self.remote_names(self.snapshotter)))
        self.remote.ctr("snapshots", "--snapshotter", "overlayfs", "prepare", "default/x/foreign")
        self.sn("delete", "gone")
        wait_for("the plugin's snapshot to go", lambda: not any(n.endswith("/gone") for n in self.remote_names(self.snapshotter)))
        self.assertIn("default/x/foreign", self.remote_names(self.snapshotter))

    def test_failures_are_the_plugins(self):
        self.snapshotter = "overlayfs"
        self.assertIn("does not exist", self.sn("prepare", "k", "nosuch", check=False).stderr)
        self.sn("prepare", "twice")
        self.assertIn("already exists", self.sn("prepare", "twice", check=False).stderr)
        self.sn("delete", "twice")
        self.stop_plugin()
        try:
            self.assertIn("connection error", self.sn("prepare", "k", check=False).stderr)
            self.assertEqual(self.sn("list").returncode, 0)
            self.assertEqual(self.ctr("images", "list").returncode, 0)
        finally:
            self.start_plugin()


class DebianProxy(Proxy):
    """The same on the original's Snapshots service."""
    remote_binary = "/usr/bin/containerd"
    test_garbage_goes_there_too = test_failures_are_the_plugins = None


if __name__ == "__main__":
    unittest.main()

"""Snapshotters beside the daemon's usual one: in another program, on another file system."""
import json
import os
import pathlib
import subprocess
import unittest

import rpc
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, mounts, run, wait_for

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


class Filesystems(DaemonTest):
    """Layers as images and as subvolumes, from unpacking to a commit, over the daemon's death."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        image, folder = cls.scratch.path / "btrfs.img", cls.scratch.path / "btrfs"
        image.touch()
        os.truncate(image, 256 << 20)
        folder.mkdir()
        cls.has_btrfs = all(run(c, check=False).returncode == 0
                            for c in (["mkfs.btrfs", "-q", image], ["mount", "-o", "loop", image, folder]))
        if cls.has_btrfs:
            cls.addClassCleanup(run, ["umount", folder])
        scratch = cls.scratch.path / "empty.img"
        scratch.touch()
        os.truncate(scratch, 32 << 20)
        run(["mkfs.ext4", "-q", scratch])
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + f"""
[plugins.'io.containerd.snapshotter.v1.btrfs']
  root_path = '{folder}'
[plugins.'io.containerd.snapshotter.v1.blockfile']
  scratch_file = '{scratch}'
  mount_options = ['loop', 'noatime']
""").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", "--no-unpack", SHARE / "busybox.tar")

    def plugin_error(self, name):
        lines = self.ctr("plugins", "list").stdout.splitlines()
        return "error" in next(line for line in lines if line.split()[:2] == ["io.containerd.snapshotter.v1", name])

    def life(self, name):
        def sh(command, *flags):
            return self.ctr("run", "--rm", "--snapshotter", name, *flags, self.IMAGE, "x", "sh", "-c", command).stdout

        self.assertEqual(sh("echo new >/new && rm /etc/passwd && cat /new"), "new\n")
        box = self.running("--snapshotter", name, name="box")
        self.ctr("tasks", "exec", "--exec-id", "e", box, "sh", "-c", "echo kept >/kept; rm /etc/passwd")
        layer = self.ctr("snapshots", "--snapshotter", name, "diff", "box", check=False)
        self.assertEqual(layer.returncode, 0, layer.stderr)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", box, "cat", "/kept").stdout, "kept\n")
        self.assertEqual(sh("ls /new /kept; cat /etc/passwd | head -c 4"), "root")
        self.ctr("tasks", "kill", "-s", "SIGKILL", box)
        wait_for("the end", lambda: "STOPPED" in self.task_line(box))
        self.ctr("tasks", "delete", box)
        self.ctr("containers", "delete", box)
        return sh

    def test_erofs(self):
        if self.plugin_error("erofs"):
            self.skipTest("no erofs or mkfs.erofs here")
        sh = self.life("erofs")
        layers = mounts("io.containerd.snapshotter.v1.erofs")
        self.assertTrue(layers)
        for layer in layers:  # as a reboot does
            run(["umount", layer])
        self.assertEqual(sh("head -c 4 /etc/passwd"), "root")
        self.assertEqual(len(mounts("io.containerd.snapshotter.v1.erofs")), len(layers))

    def goes_on(self, name):
        box = f"on-{name}"
        script = "echo one >/f; while [ ! -e /go ]; do sleep 0.05; done; cat /f; echo two >/g; sleep 100"
        self.ctr("run", "-d", "--snapshotter", name, self.IMAGE, box, "sh", "-c", script)
        sh = lambda text: self.ctr("tasks", "exec", "--exec-id", "e", box, "sh", "-c", text).stdout
        snapshots = lambda *args: self.ctr("snapshots", "--snapshotter", name, *args).stdout
        wait_for("the file", lambda: sh("cat /f 2>/dev/null || true") == "one\n")
        snapshots("commit", "kept", box)
        self.assertEqual(sh("touch /go; cat /f; echo three >/h; cat /h"), "one\nthree\n")
        wait_for("its own writing", lambda: sh("cat /g 2>/dev/null || true") == "two\n")
        self.reads_beside(name, box)
        self.ctr("tasks", "rm", "-f", box)
        snapshots("prepare", "next", "kept")
        self.assertTrue(snapshots("mounts", "/m", "next"))
        snapshots("rm", "next")
        snapshots("rm", "kept")

    def reads_beside(self, name, box):
        """Another container on a view of what the first one still writes to."""
        self.ctr("snapshots", "--snapshotter", name, "view", "look", "kept")
        spec = json.loads(self.ctr("containers", "info", "--spec", box).stdout)
        spec["process"]["args"], spec["linux"]["cgroupsPath"] = ["cat", "/f"], "/default/reader"
        value = json.dumps(json.dumps(spec))  # protobuf's text has JSON's strings
        rpc.call(self.daemon, "containerd/services/containers/v1/containers.proto", "Containers/Create",
                 f'container {{ id: "reader" snapshotter: "{name}" snapshot_key: "look" runtime {{ name: "io.containerd.runc.v2" }} '
                 f'spec {{ type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec" value: {value} }} }}')
        self.assertEqual(self.ctr("tasks", "start", "reader").stdout, "one\n")
        self.ctr("containers", "rm", "reader")  # its view goes with it

    def test_a_container_goes_on_in_a_committed_snapshot(self):
        """Who commits what runs gets that moment, or more; the container loses nothing."""
        for name in ("overlayfs", "native", "erofs", "btrfs", "blockfile"):
            with self.subTest(name):
                if self.plugin_error(name):
                    self.skipTest(f"no {name} here")
                self.goes_on(name)

    def test_mapped_ids(self):
        maps = ("--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536", "--remap-labels")
        script = "stat -c %u:%g /etc/passwd; echo x >/root/new; chown 5:6 /root/new; id -u; cat /proc/self/uid_map"
        for name in ("overlayfs", "erofs"):
            if self.plugin_error(name):
                continue
            r = self.ctr("run", "--rm", "--snapshotter", name, *maps, self.IMAGE, "m", "sh", "-c", script)
            self.assertEqual(r.stdout.split(), ["0:0", "0", "0", "100000", "65536"])
        self.running(*maps, name="box")
        self.ctr("tasks", "exec", "--exec-id", "e", "box", "sh", "-c", "echo x >/new; chown 5:6 /new")
        new = next(self.daemon.root.glob("io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/new"))
        self.assertEqual((new.stat().st_uid, new.stat().st_gid), (100005, 200006))
        self.assertEqual([m for m in mounts("rootfs-lower") if "rootfs-lower" in m], [])
        for args, text in ((("--snapshotter", "native", *maps), "cannot map ids"), (maps[:2], "belong together"),
                           (("--uidmap", "0:1", *maps[2:]), "expected container-id:host-id:length")):
            self.assertIn(text, self.ctr("run", "--rm", *args, self.IMAGE, "m", "true", check=False).stderr)
        self.ctr("tasks", "kill", "-s", "SIGKILL", "box")

    def test_blockfile(self):
        if self.plugin_error("blockfile"):
            self.skipTest("no loop devices here")
        self.life("blockfile")
        self.assertEqual(self.ctr("snapshots", "--snapshotter", "blockfile", "prepare", "k").stdout, "")
        self.assertRegex(self.ctr("snapshots", "--snapshotter", "blockfile", "mounts", "/m", "k").stdout,
                         r"^mount -t ext4 \S+/io.containerd.snapshotter.v1.blockfile/snapshots/\d+/block /m -o loop,noatime,rw\n$")
        wait_for("the files' devices to go", lambda: str(self.daemon.root) not in run(["losetup", "-l", "-n", "-O", "BACK-FILE"]).stdout)

    def test_btrfs(self):
        if not self.has_btrfs:
            self.skipTest("no btrfs here")
        self.assertFalse(self.plugin_error("btrfs"))
        self.life("btrfs")


if __name__ == "__main__":
    unittest.main()

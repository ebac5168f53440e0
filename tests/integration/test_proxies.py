"""Differs and sandbox controllers in other programs (proxy_plugins of type diff and sandbox)."""
import pathlib
import subprocess
import unittest

import rpc
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, wait_for

PLUGIN = pathlib.Path(__file__).parent / "proxy_plugin.py"
DIFF, SANDBOX = "containerd/services/diff/v1/diff.proto", "containerd/services/sandbox/v1/sandbox.proto"


class Proxies(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.folder, socket = cls.scratch.path / "plugin", cls.scratch.path / "plugin.sock"
        cls.folder.mkdir()
        process = subprocess.Popen(["/usr/bin/python3", PLUGIN, socket, cls.folder])
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        wait_for("the plugin's socket", socket.exists)
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + f"""
[plugins.'io.containerd.service.v1.diff-service']
  default = ['far', 'walking']
[proxy_plugins.far]
  type = 'diff'
  address = '{socket}'
[proxy_plugins.vms]
  type = 'sandbox'
  address = 'unix://{socket}'
""").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def tearDown(self):
        super().tearDown()
        for p in self.folder.iterdir():
            p.unlink()

    def prepare(self, method, message, source, text):
        (self.folder / method).write_bytes(rpc.protoc("encode", message, source, text.encode()))

    def asked(self, method, message, source):
        return rpc.protoc("decode", message, source, (self.folder / f"{method}.request").read_bytes()).decode()

    def test_they_are_listed(self):
        lines = [line.split()[:2] for line in self.ctr("plugins", "list").stdout.splitlines()]
        self.assertIn(["io.containerd.differ.v1", "far"], lines)
        self.assertIn(["io.containerd.sandbox.controller.v1", "vms"], lines)

    def test_layers_go_there_first(self):
        self.running()
        self.ctr("tasks", "exec", "--exec-id", "e", "box", "touch", "/new")
        self.assertTrue(self.ctr("snapshots", "diff", "box").stdout)  # by our own: the plugin has nothing to say
        self.assertIn('upperdir=', self.asked("Diff", "containerd.services.diff.v1.DiffRequest", DIFF))
        self.assertEqual((self.folder / "Diff.namespace").read_text(), "default")
        self.prepare("Diff", "containerd.services.diff.v1.DiffResponse", DIFF, 'diff { media_type: "x/y" digest: "sha256:0" size: 7 }')
        r = rpc.call(self.daemon, DIFF, "Diff/Diff", 'ref: "r"')
        self.assertIn('media_type: "x/y"', r[0])
        self.prepare("Apply", "containerd.services.diff.v1.ApplyResponse", DIFF, 'applied { digest: "sha256:1" }')
        self.assertIn('digest: "sha256:1"', rpc.call(self.daemon, DIFF, "Diff/Apply", 'diff { digest: "sha256:2" }')[0])

    def test_sandboxes_of_another_controller(self):
        answer = "containerd.services.sandbox.v1.Controller{}Response".format
        self.prepare("Create", answer("Create"), SANDBOX, 'sandbox_id: "s"')
        self.prepare("Start", answer("Start"), SANDBOX, 'sandbox_id: "s" pid: 77 address: "vsock://3:1" version: 3')
        self.assertIn('sandbox_id: "s"', rpc.call(self.daemon, SANDBOX, "Controller/Create", 'sandbox_id: "s" sandboxer: "vms" netns_path: "/n"')[0])
        self.assertIn('netns_path: "/n"', self.asked("Create", "containerd.services.sandbox.v1.ControllerCreateRequest", SANDBOX))
        self.assertIn("pid: 77", rpc.call(self.daemon, SANDBOX, "Controller/Start", 'sandbox_id: "s" sandboxer: "vms"')[0])
        with self.assertRaises(rpc.RpcError) as e:
            rpc.call(self.daemon, SANDBOX, "Controller/Stop", 'sandbox_id: "s" sandboxer: "vms"')
        self.assertIn("not for me", e.exception.text)
        with self.assertRaises(rpc.RpcError) as e:
            rpc.call(self.daemon, SANDBOX, "Controller/Stop", 'sandbox_id: "s" sandboxer: "none"')
        self.assertIn("failed to get sandbox controller by none", e.exception.text)

    def test_a_wait_that_nobody_wants_any_more_ends_there_too(self):
        method = "/containerd.services.sandbox.v1.Controller/Wait"
        p = subprocess.Popen(["/usr/bin/python3", rpc.__file__, self.daemon.address, method, "containerd-namespace=default"], stdin=subprocess.PIPE)
        p.stdin.write(rpc.protoc("encode", "containerd.services.sandbox.v1.ControllerWaitRequest", SANDBOX, b'sandbox_id: "s" sandboxer: "vms"').hex().encode())
        p.stdin.close()
        wait_for("the question", (self.folder / "Wait.request").exists)
        p.kill()
        p.wait()
        wait_for("its end", (self.folder / "Wait.left").exists)


if __name__ == "__main__":
    unittest.main()

"""Sandboxes: their records, shims that hold several containers, and what is left when either side dies."""
import json
import os
import re
import signal
import subprocess
import unittest

import rpc
from casco import DaemonTest, processes, wait_for

DEBIAN_SHIM = "/usr/bin/containerd-shim-runc-v2"


class Sandboxes(DaemonTest):
    def setUp(self):
        self.pod = self.scratch.path / "pod.json"
        self.pod.write_text('{"ociVersion":"1.0.2"}')

    def tearDown(self):
        super().tearDown()
        for line in self.ctr("sandboxes", "list").stdout.splitlines()[1:]:
            self.ctr("sandboxes", "remove", "-f", line.split()[0], check=False)
        wait_for("all shims to end", lambda: not self.shims())
        top = self.daemon.state / "io.containerd.sandbox.controller.v1.shim/default"
        self.assertEqual(os.listdir(top) if top.exists() else [], [])

    def shims(self):
        return [int(p.split()[0]) for p in processes(str(self.scratch.path)) if "-shim-" in p]

    def topics(self, action):
        """Those of what action does, in their order."""
        log = self.scratch.path / "events"
        with open(log, "wb") as out, subprocess.Popen(self.daemon.command("events"), stdout=out, env=self.daemon.env) as p:
            try:
                wait_for("the subscription", lambda: self.ctr("namespaces", "label", "default", "a=b") and log.stat().st_size)
                action()
                wait_for("the last event", lambda: "/sandboxes/exit" in log.read_text())
            finally:
                p.terminate()
        return [w for w in log.read_text().split() if w.startswith(("/sandboxes/", "/tasks/"))]

    def test_containers_share_the_shim_which_outlives_them(self):
        def life():
            self.assertEqual(self.ctr("sandboxes", "run", self.pod, "sb").stdout, "sb\n")
            self.assertEqual(self.ctr("run", "--rm", "--sandbox", "sb", self.IMAGE, "one", "echo", "hello").stdout, "hello\n")
            self.running("--sandbox", "sb", name="two")
            self.running("--sandbox", "sb", name="three")
            self.assertEqual(len(self.shims()), 1)
            self.assertEqual(json.loads(self.ctr("containers", "info", "two").stdout)["SandboxID"], "sb")
            self.ctr("tasks", "pause", "three")
            r = self.ctr("sandboxes", "remove", "sb", check=False)
            self.assertIn("still has container", r.stderr)
            wait_for("the end of its containers", lambda: all("STOPPED" in self.task_line(t) for t in ("two", "three")))
            for name in ("two", "three"):
                self.ctr("tasks", "delete", name, check=False)
            self.assertEqual(len(self.shims()), 1)
            self.ctr("sandboxes", "remove", "sb")

        topics = self.topics(life)
        self.assertEqual(topics[:2] + [t for t in topics if t == "/sandboxes/exit"],
                         ["/sandboxes/create", "/sandboxes/start", "/sandboxes/exit"])

    def test_daemon_that_comes_back_finds_both(self):
        self.ctr("sandboxes", "run", self.pod, "sb")
        self.running("--sandbox", "sb", name="in")
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("RUNNING", self.task_line("in"))
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", "in", "echo", "again").stdout, "again\n")
        self.running("--sandbox", "sb", name="later")
        self.assertEqual(len(self.shims()), 1)
        os.kill(self.shims()[0], signal.SIGKILL)
        wait_for("the tasks to go", lambda: not self.task_line("in") and not self.task_line("later"))
        self.ctr("sandboxes", "remove", "sb")

    def test_errors(self):
        self.ctr("sandboxes", "run", self.pod, "sb")
        r = self.ctr("sandboxes", "run", self.pod, "sb", check=False)
        self.assertIn('failed to create new sandbox: write error: sandbox bucket "sb" already exists', r.stderr)
        self.assertIn('bucket "nix" not found', self.ctr("sandboxes", "remove", "nix", check=False).stderr)
        r = self.ctr("run", "-d", "--sandbox", "nix", self.IMAGE, "lost", "true", check=False)
        self.assertIn("failed to start shim: can't find shim for sandbox nix", r.stderr)
        self.assertEqual(self.ctr("sandboxes", "list", "--filters", "id==other").stdout.splitlines()[1:], [])
        self.assertIn("sb ", self.ctr("sandboxes", "list", "--filters", "id==sb").stdout)
        r = self.ctr("sandboxes", "run", "--runtime", "io.containerd.nix.v1", self.pod, "sb2", check=False)
        self.assertIn("failed to start new shim for sandbox sb2", r.stderr)

    def figures(self):
        """(processes, bytes of memory) as the daemon tells them of the sandbox."""
        [answer] = rpc.call(self.daemon, "containerd/services/sandbox/v1/sandbox.proto", "Controller/Metrics", 'sandbox_id: "sb" sandboxer: "shim"')
        if "data {" not in answer:
            return answer, None
        kind = re.search(r'type_url: "(.*)"', answer)[1]
        value = re.search(r'    value: "(.*)"$', answer, re.M)[1].encode().decode("unicode_escape").encode("latin-1")
        text = rpc.protoc("decode", kind, f"cgroups/{'v2' if '.v2.' in kind else 'v1'}/metrics.proto", value).decode()
        pids = int(re.search(r"^pids \{\n  current: (\d+)", text, re.M)[1])
        return pids, sum(int(n) for n in re.findall(r"^ +usage: (\d+)|^    usage: (\d+)", text.replace("    usage: ", "  usage: "), re.M)[0] if n)

    def test_figures_and_details(self):
        self.ctr("sandboxes", "run", self.pod, "sb")
        answer, none = self.figures()
        self.assertIsNone(none, answer)
        self.assertIn('id: "sb"', answer)
        self.running("--sandbox", "sb", name="one")
        first, one = self.figures()
        self.assertEqual(first, 1)
        self.assertGreater(one, 0)
        self.ctr("run", "-d", "--sandbox", "sb", self.IMAGE, "two", "sh", "-c", "sleep 300 & sleep 300 & wait")
        wait_for("all processes to count", lambda: self.figures()[0] == 4)
        self.assertGreater(self.figures()[1], one)
        [answer] = rpc.call(self.daemon, "containerd/services/sandbox/v1/sandbox.proto", "Controller/Status", 'sandbox_id: "sb" sandboxer: "shim" verbose: true')
        info = json.loads(json.loads('"' + re.search(r'key: "info"\s+value: "(.*)"', answer)[1] + '"'))
        self.assertEqual(info["pid"], self.shims()[0])
        self.assertEqual({c["id"]: c["state"] for c in info["containers"]}, {"one": "running", "two": "running"})
        self.assertIn(str(info["containers"][0]["pid"]), self.task_line(info["containers"][0]["id"]))
        [answer] = rpc.call(self.daemon, "containerd/services/sandbox/v1/sandbox.proto", "Controller/Status", 'sandbox_id: "sb" sandboxer: "shim"')
        self.assertNotIn("info", answer)
        self.ctr("tasks", "kill", "-s", "KILL", "two")
        wait_for("its end", lambda: "STOPPED" in self.task_line("two"))
        self.assertEqual(self.figures()[0], 1)
        with self.assertRaises(rpc.RpcError) as e:
            rpc.call(self.daemon, "containerd/services/sandbox/v1/sandbox.proto", "Controller/Metrics", 'sandbox_id: "nix" sandboxer: "shim"')
        self.assertEqual(e.exception.code, "NOT_FOUND")

    @unittest.skipUnless(os.path.exists(DEBIAN_SHIM), "Debian's shim is not installed")
    def test_shim_without_the_api_leaves_nothing(self):
        r = self.ctr("sandboxes", "run", "--runtime", DEBIAN_SHIM, self.pod, "old", check=False)
        self.assertIn("failed to start: failed to create sandbox old", r.stderr)
        self.assertNotIn("old", self.ctr("sandboxes", "list").stdout)


if __name__ == "__main__":
    unittest.main()

"""Networks where one side is the original's: containerd's ctr with our daemon, and our ctr with containerd."""
import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from casco import CONFIG_V2, SHARE, Daemon, Scratch, our_env, wait_for
from netspace import PLUGINS, bridge_list, sh, write_conf
from networked import SERVE, NetworkTest, fetch, setUpModule, tearDownModule  # noqa: F401 (for the module)
from rpc import call

DEBIAN_CTR, DEBIAN_CONTAINERD = "/usr/bin/ctr", "/usr/bin/containerd"


def attach(container, netns):
    """What libcni does for an ADD: the plugins in order, and the result in its cache."""
    conf, prev = bridge_list(), None
    env = dict(os.environ, CNI_COMMAND="ADD", CNI_CONTAINERID=container, CNI_NETNS=netns, CNI_IFNAME="eth0", CNI_PATH=str(PLUGINS))
    for plugin in conf["plugins"]:
        plugin = dict(plugin, name=conf["name"], cniVersion=conf["cniVersion"], **({"prevResult": prev} if prev else {}))
        r = subprocess.run([PLUGINS / plugin["type"]], input=json.dumps(plugin), capture_output=True, text=True, env=env, check=True)
        prev = json.loads(r.stdout)
    doc = {"kind": "cniCacheV1", "containerId": container, "config": base64.b64encode(json.dumps(conf).encode()).decode(), "ifName": "eth0",
           "networkName": conf["name"], "result": prev}
    os.makedirs("/var/lib/cni/results", exist_ok=True)
    pathlib.Path(f"/var/lib/cni/results/{conf['name']}-{container}-eth0").write_text(json.dumps(doc))


@unittest.skipUnless(os.path.exists(DEBIAN_CTR), "Debian's ctr is not installed")
class ForeignClient(NetworkTest):
    """containerd's ctr attaches by itself; with our daemon nothing of that is left, either."""

    def test_run(self):
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "theirs", "ip", "-4", "addr", "show", "eth0", binary=DEBIAN_CTR).stdout
        self.assertRegex(out, r"inet 10\.97\.0\.\d+/24")
        # its own DEL comes when the network namespace is gone, and leaves the plugin's rules
        sh("iptables", "-t", "nat", "-F")

    def test_a_marked_container_killed_with_its_shim(self):
        """As containerd 2's ctr leaves it: a mark in the record, an attachment in libcni's cache."""
        self.ctr("containers", "create", self.IMAGE, "gone", "sleep", "100")
        mark = b'{"EnableCni":true}'
        call(self.daemon, "containerd/services/containers/v1/containers.proto", "Containers/Update",
             'container { id: "gone" extensions { key: "ctr.cni-containerd.metadata" value { type_url: "github.com/containerd/containerd/v2/cmd/ctr/commands/'
             'NetworkMetaData" value: "%s" } } } update_mask { paths: "extensions" }' % mark.decode().replace('"', '\\"'))
        self.ctr("tasks", "start", "-d", "gone")
        pid = int(self.task_line("gone").split()[1])
        attach("default-gone", f"/proc/{pid}/ns/net")
        shim = int(re.search(r"PPid:\s(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
        os.kill(shim, signal.SIGKILL)
        wait_for("the cache to be clean", lambda: not list(pathlib.Path("/var/lib/cni/results").glob("*")), 10)
        sh("iptables", "-t", "nat", "-F")

    def test_their_own_turn(self):
        """Who attached by himself is not hurried: the network of an ended task stays until the task is deleted."""
        self.ctr("containers", "create", self.IMAGE, "slow", "sleep", "100")
        call(self.daemon, "containerd/services/containers/v1/containers.proto", "Containers/Update",
             'container { id: "slow" extensions { key: "ctr.cni-containerd.metadata" value { type_url: "x" value: "{\\"EnableCni\\":true}" } } } '
             'update_mask { paths: "extensions" }')
        self.ctr("tasks", "start", "-d", "slow")
        attach("default-slow", f"/proc/{self.task_line('slow').split()[1]}/ns/net")
        self.ctr("tasks", "kill", "-s", "KILL", "slow")
        wait_for("its end", lambda: "STOPPED" in self.task_line("slow"))
        time.sleep(0.3)
        self.assertEqual(len(list(pathlib.Path("/var/lib/cni/results").glob("*"))), 1)
        self.ctr("tasks", "delete", "slow", binary=DEBIAN_CTR, check=False)
        self.assertEqual(list(pathlib.Path("/var/lib/cni/results").glob("*")), [])
        sh("iptables", "-t", "nat", "-F")


@unittest.skipUnless(os.path.exists(DEBIAN_CONTAINERD), "Debian's containerd is not installed")
class ForeignDaemon(NetworkTest):
    """Our ctr does itself what the daemon cannot."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, binary=DEBIAN_CONTAINERD, config=CONFIG_V2, env=our_env(PATH="/usr/sbin:/usr/bin:/sbin:/bin"))
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")
        write_conf("10-test.conflist", bridge_list(ipMasq=False))
        cls.addClassCleanup(os.unlink, "/etc/cni/net.d/10-test.conflist")

    def test_run(self):
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "alone", "ip", "-4", "addr", "show", "eth0").stdout
        self.assertRegex(out, r"inet 10\.97\.0\.\d+/24")

    def test_detached_and_published(self):
        self.ctr("run", "-d", "-p", "8070:80", "--env", "HOSTNAME_SHOWN=far", self.IMAGE, "far", "sh", "-c", SERVE)
        wait_for("the server", lambda: fetch("127.0.0.1", 8070) == "far\n", 10)
        self.assertIn("8070->80/tcp", self.ctr("ps").stdout)
        self.ctr("tasks", "kill", "-s", "KILL", "far")
        wait_for("its end", lambda: "STOPPED" in self.task_line("far"))
        self.ctr("tasks", "delete", "far")
        self.assert_clean()

    def test_what_needs_our_daemon(self):
        r = self.ctr("run", "--rm", "--dns", "1.1.1.1", self.IMAGE, "dns", "true", check=False)
        self.assertIn("--dns, --dns-search and --dns-option need casco's own daemon", r.stderr)

    def test_no_configuration(self):
        os.rename("/etc/cni/net.d/10-test.conflist", "/etc/cni/net.d/10-test.no")
        self.addCleanup(os.rename, "/etc/cni/net.d/10-test.no", "/etc/cni/net.d/10-test.conflist")
        r = self.ctr("run", "--rm", "--cni", self.IMAGE, "none", "true", check=False)
        self.assertIn("no network config found in /etc/cni/net.d: cni plugin not initialized", r.stderr)

    def test_a_failure_leaves_nothing(self):
        r = self.ctr("run", "--rm", "--network", "absent", self.IMAGE, "fails", "true", check=False)
        self.assertIn("no net configuration with name \"absent\"", r.stderr)
        self.assertEqual(self.ctr("tasks", "list").stdout.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()

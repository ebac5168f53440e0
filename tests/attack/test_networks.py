"""Containers in networks against each other, against the host, and against who has another namespace of the daemon."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from casco import DaemonTest, wait_for  # noqa: E402
from netspace import Netspace, bridge_list, elements, leftovers, remove_bridges, wipe, write_conf  # noqa: E402
from rpc import call  # noqa: E402

CONTAINERS = "containerd/services/containers/v1/containers.proto"
space = None


def setUpModule():
    global space
    space = Netspace()


def tearDownModule():
    space.leave()


class Networks(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(remove_bridges)
        cls.addClassCleanup(shutil.rmtree, "/etc/cni/net.d", ignore_errors=True)

    def setUp(self):
        os.makedirs("/etc/cni/net.d", exist_ok=True)
        write_conf("10-test.conflist", bridge_list(builtin=True))
        self.addCleanup(self.assert_clean)  # behind all others

    def assert_clean(self):
        for folder in pathlib.Path("/sys/fs/cgroup").glob("*/a*"):
            if folder.name in ("a", "a-b"):  # those of namespaces
                folder.rmdir()
        left = leftovers(self.daemon.root)
        if left:
            wipe()
        self.assertEqual(left, [])

    def mark(self, name, key, value, namespace="default"):
        """A client's own extension of a record."""
        text = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
        call(self.daemon, CONTAINERS, "Containers/Update",
             f'container {{ id: "{name}" extensions {{ key: "{key}" value {{ type_url: "x" value: "{text}" }} }} }} '
             'update_mask { paths: "extensions" }', namespace=namespace)

    def in_namespace(self, namespace, *args, **kw):
        return self.ctr("-n", namespace, *args, **kw)

    def wish(self, namespace, name, *more):
        self.in_namespace(namespace, "images", "import", self.archive)
        self.in_namespace(namespace, "run", "-d", *more, self.IMAGE, name, "sleep", "300")
        self.addCleanup(self.remove, namespace, name)

    archive = property(lambda _: os.environ["CASCO_SHARE"] + "/busybox.tar")

    def remove(self, namespace, name):
        self.in_namespace(namespace, "tasks", "delete", "--force", name, check=False)
        self.in_namespace(namespace, "containers", "delete", name, check=False)
        for image in self.in_namespace(namespace, "images", "list", "-q", check=False).stdout.split():
            self.in_namespace(namespace, "images", "remove", "--sync", image, check=False)
        self.in_namespace(namespace, "namespaces", "remove", namespace, check=False)

    def interface(self, namespace, name):
        return self.in_namespace(namespace, "tasks", "exec", "--exec-id", "look", name, "ip", "-4", "-o", "addr", "show", "eth0", check=False).stdout

    def test_names_that_are_the_same_when_put_together(self):
        """The namespace a-b's c is not the namespace a's b-c, although both are a-b-c."""
        self.wish("a-b", "c", "-p", "8091:80")
        before, ports = self.interface("a-b", "c"), elements("any4")
        self.assertIn("inet 10.97.0.", before)
        self.wish("a", "b-c", "--cni")
        self.assertIn("inet 10.97.0.", self.interface("a", "b-c"))
        self.remove("a", "b-c")
        self.assertEqual((self.interface("a-b", "c"), elements("any4")), (before, ports))

    def test_a_mark_of_another_namespace(self):
        """Who says that he attached by himself has nobody else's attachment undone."""
        self.wish("a", "b-c", "-p", "8092:80")
        before = self.interface("a", "b-c")
        self.in_namespace("a-b", "images", "import", self.archive)
        self.in_namespace("a-b", "containers", "create", self.IMAGE, "c", "true")
        self.addCleanup(self.remove, "a-b", "c")
        self.mark("c", "ctr.cni-containerd.metadata", {"EnableCni": True}, "a-b")
        self.in_namespace("a-b", "tasks", "start", "c")
        self.assertEqual(self.interface("a", "b-c"), before)
        self.assertEqual(elements("any4"), ["6 8092"])

    def test_the_hosts_own_addresses_are_nobody_elses(self):
        """A container that may make packets of its own sends one from 127.0.0.2, which ports published on 127.0.0.1 make routable."""
        script = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(3)\ns.bind(('10.97.0.1', 5353))\n"
                  "print('ready', flush=True)\ntry:\n  while True: print(s.recvfrom(99), flush=True)\nexcept TimeoutError: print('none')\n")
        self.running("-p", "127.0.0.1:8093:80")
        pid = self.task_line("box").split()[1]
        server = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), "ready\n")
        send = ("import socket, struct\nr = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n"
                "for a in '10.97.0.77', '127.0.0.2':\n"
                "  u = struct.pack('>HHHH', 1000, 5353, 8 + len(a), 0) + a.encode()\n"
                "  h = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(u), 1, 0, 64, 17, 0, socket.inet_aton(a), socket.inet_aton('10.97.0.1'))\n"
                "  r.sendto(h + u, ('10.97.0.1', 0))\n")
        subprocess.run(["nsenter", "-t", pid, "-n", "/usr/bin/python3", "-c", send], check=True)
        said = server.communicate(timeout=10)[0]
        self.assertIn("10.97.0.77", said, "packets came at all")
        self.assertNotIn("127.0.0.2", said)

    def test_ports_without_end(self):
        write_conf("20-four.conflist", bridge_list("four", "tbr4", ["10.98.0.0/24", "10.99.0.0/24", "fd98::/64", "fd99::/64"], builtin=True))
        self.addCleanup(os.unlink, "/etc/cni/net.d/20-four.conflist")
        self.ctr("run", "--rm", "--network", "four", "-p", "10000-14095:10000-14095", self.IMAGE, "many", "true", check=False)
        died = self.daemon.process.poll()
        if died is not None:
            self.daemon.start()
        self.assertIsNone(died)

    def test_wishes_without_end(self):
        self.ctr("containers", "create", self.IMAGE, "large", "true")
        self.mark("large", "casco.network", {"capabilityArgs": {"aliases": ["x" * 1000] * 9000}})
        r = self.ctr("tasks", "start", "large", check=False)
        self.assertIn("extension casco.network is larger than 1048576 bytes", r.stderr)
        self.assertEqual(leftovers(self.daemon.root), [])

    def test_ports_on_a_terminal(self):
        evil = "\x1b]0;PWN\x07"
        self.ctr("containers", "create", self.IMAGE, "shown", "true")
        self.mark("shown", "casco.network", {"capabilityArgs": {"portMappings": [
            {"hostIP": evil, "protocol": evil, "hostPort": 1, "containerPort": 1}]}})
        for args in ("ps", "--all"), ("inspect", "shown"), ("inspect", "shown", "Network.Ports"):
            r = self.ctr(*args, check=False)
            if args[-1] != "Network.Ports":
                self.assertNotIn("\x1b", r.stdout + r.stderr, args)

    def test_a_killed_daemon_takes_no_port_that_it_had_not_got(self):
        """What a kill leaves between the address and the rules of one whose port is another's already."""
        self.running("-p", "8094:80")
        self.daemon.kill()
        place = pathlib.Path(self.daemon.root, "io.casco.network/default/late")
        place.mkdir()
        ports = [{"hostPort": 8094, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
        (place / "record.json").write_text(json.dumps({"attachments": [{
            "network": "test", "ifName": "eth0", "config": json.dumps(bridge_list(builtin=True)), "capabilityArgs": {"portMappings": ports}}]}))
        pathlib.Path("/var/lib/cni/networks/test/10.97.0.99").write_text("default-late\r\neth0")
        self.daemon.start()
        wait_for("the end of the other", lambda: not place.exists())
        self.assertFalse(pathlib.Path("/var/lib/cni/networks/test/10.97.0.99").exists())
        self.assertEqual(elements("any4"), ["6 8094"])


if __name__ == "__main__":
    unittest.main()

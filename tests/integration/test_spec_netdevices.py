"""linux.netDevices: interfaces that move into the container, under another name, with what they have.

All of it happens in a network namespace of the test's own; a veth pair stands for hardware."""
import json
import os
import subprocess
import unittest

from bundle import RuncTest
from casco import program


class NetDevices(RuncTest):
    def setUp(self):
        super().setUp()
        self.host = self.holder()
        self.on_host("ip link add e0 type veth peer name peer0")
        self.b.config["linux"]["netDevices"] = {"e0": {}}

    def holder(self):
        """A process that keeps a network namespace."""
        p = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
        self.addCleanup(p.communicate)
        self.addCleanup(p.kill)
        p.stdout.readline()
        return p.pid

    def on_host(self, script, check=True, where=None):
        r = subprocess.run(["nsenter", "-n", "-t", str(where or self.host), "sh", "-ec", script], text=True, capture_output=True,
                           timeout=30, check=False, cwd=self.b.path)
        if check:
            self.assertEqual(r.returncode, 0, r.stderr)
        return r

    def show(self, name="e0", check=True):
        """What ip says of it in the container."""
        self.b.write()
        r = self.on_host(f"exec {program('runc')} --root {self.state} run -d {self.id} >{self.top}/out 2>&1", check=False)
        text = (self.top / "out").read_text()
        if check:
            self.assertEqual(r.returncode, 0, text)
        if r.returncode:
            return text
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        out = self.on_host(f"ip -j address show dev {name}", where=pid).stdout
        self.runc("delete", "-f", self.id)
        return json.loads(out)[0]

    def test_moved_with_all_it_has(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        self.on_host("ip link set e0 mtu 1400 address 02:11:22:33:44:55; ip addr add 192.0.2.7/24 brd + dev e0; "
                     "ip addr add 192.0.2.9 peer 192.0.2.10 dev e0; ip addr add 127.0.0.33/32 scope host dev e0; "
                     "ip addr add 2001:db8::7/64 dev e0 nodad; ip link set e0 up")
        got = self.show()
        self.assertEqual((got["mtu"], got["address"]), (1400, "02:11:22:33:44:55"))
        self.assertIn("UP", got["flags"])
        addresses = {(a["local"], a["prefixlen"]): a for a in got["addr_info"]}
        self.assertEqual(addresses["192.0.2.7", 24]["broadcast"], "192.0.2.255")
        self.assertEqual(addresses["192.0.2.9", 32]["address"], "192.0.2.10")
        self.assertIn(("2001:db8::7", 64), addresses)
        self.assertNotIn("127.0.0.33", [a for a, _ in addresses])
        self.assertNotEqual(self.on_host("ip link show e0", check=False).returncode, 0)

    def test_another_name(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        self.b.config["linux"]["netDevices"] = {"e0": {"name": "in0"}}
        self.assertEqual(self.show("in0")["ifname"], "in0")

    def test_a_joined_namespace_keeps_it(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        other = self.holder()
        for n in self.b.config["linux"]["namespaces"]:
            if n["type"] == "network":
                n["path"] = f"/proc/{other}/ns/net"
        self.show()
        self.on_host("ip link show e0", where=other)

    def test_hooks_see_it_and_our_namespace_stays(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        self.b.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": [
            "sh", "-c", f"readlink /proc/self/ns/net >{self.top}/hook; nsenter -n -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/') "
                        f"ip link show e0 >>{self.top}/hook"], "env": [f"PATH={os.environ['PATH']}"]}]}
        self.show()
        hook = (self.top / "hook").read_text()
        self.assertIn(os.readlink(f"/proc/{self.host}/ns/net"), hook)
        self.assertIn("e0", hook.split("\n", 1)[1])

    def test_with_a_user_namespace(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        linux = self.b.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        os.chmod(self.top, 0o711)
        self.on_host("ip addr add 192.0.2.7/24 dev e0")
        self.assertEqual(self.show()["addr_info"][0]["local"], "192.0.2.7")

    def test_refusals(self):
        linux = self.b.config["linux"]
        linux["netDevices"] = {"nosuch": {}}
        self.assertIn("link not found for interface nosuch on runtime namespace: no such device", self.show(check=False))
        linux["netDevices"] = {"e0": {"name": "lo"}}
        self.assertIn("fail to move network device e0 to network namespace: file exists", self.show(check=False))
        self.on_host("ip link show e0")  # the kernel moves it before it finds the name taken: it came back
        for name in ("a/b", "a" * 16, "a b", "..", ""):
            linux["netDevices"] = {name: {}}
            self.fails(f'invalid network device name "{name}"')
        linux["netDevices"] = {"e0": {"name": "x:y"}}
        self.fails('invalid network device name "x:y"')
        linux["netDevices"] = {"e0": {}}
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "network"]
        self.fails("unable to move network devices without a NET namespace")

    def test_a_failure_leaves_others_alone(self):
        """In a joined namespace there may be one of the old name."""
        other = self.holder()
        self.on_host("ip link add e0 type veth peer name x0", where=other)
        for n in self.b.config["linux"]["namespaces"]:
            if n["type"] == "network":
                n["path"] = f"/proc/{other}/ns/net"
        self.b.config["linux"]["netDevices"] = {"e0": {"name": "in0"}}
        self.b.config["process"]["args"] = ["/nowhere"]
        self.assertIn("/nowhere", self.show(check=False))
        self.on_host("ip link show e0")
        self.assertNotEqual(self.on_host("ip link show in0", where=other, check=False).returncode, 0)
        self.on_host("ip link show e0", where=other)

    def test_a_failure_brings_them_back(self):
        """Whatever fails later, and with all they had."""
        self.on_host("ip link add e1 type veth peer name peer1; ip addr add 192.0.2.7/24 dev e0; ip link set e0 up; "
                     "ip addr add 2001:db8::7/64 dev e0 nodad")
        self.b.config["linux"]["netDevices"] = {"e0": {"name": "in0"}, "e1": {}}
        self.b.config["process"]["args"] = ["/nowhere"]
        self.assertIn("/nowhere", self.show(check=False))
        got = json.loads(self.on_host("ip -j address show dev e0").stdout)[0]
        self.assertIn("UP", got["flags"])
        self.assertLessEqual({"192.0.2.7", "2001:db8::7"}, {a["local"] for a in got["addr_info"]})
        self.assertNotIn("UP", json.loads(self.on_host("ip -j address show dev e1").stdout)[0]["flags"])


if __name__ == "__main__":
    unittest.main()

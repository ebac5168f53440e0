"""Containers in networks: real CNI plugins in a namespace of the tests' own, and plugins that fail."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

from casco import SHARE, Scratch, our_env, processes, wait_for
from netspace import PLUGINS, bridge_list, drop_table, flush_rules, elements, leftovers, remove_bridges, sh, write_conf
from networked import SERVE, NetworkTest, fetch, setUpModule, tearDownModule  # noqa: F401 (for the module)

ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(100)
    s.sendto(data, who)
"""
WHO = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    c, who = s.accept()
    c.send(who[0].encode())
    c.close()
"""


class Attached(NetworkTest):
    def test_an_address_while_it_runs(self):
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "one", "sh", "-c", "ip -4 addr show eth0; ip route; cat /sys/class/net/lo/operstate").stdout
        self.assertRegex(out, r"inet 10\.97\.0\.\d+/24 brd 10\.97\.0\.255")
        self.assertIn("default via 10.97.0.1 dev eth0", out)
        self.assert_clean()

    def test_the_exit_code_is_the_containers(self):
        self.assertEqual(self.ctr("run", "--rm", "--cni", self.IMAGE, "seven", "sh", "-c", "exit 7", check=False).returncode, 7)

    def test_neighbours_and_the_host(self):
        self.serve("left", "--cni")
        self.serve("right", "--cni")
        left, right = self.address("left"), self.address("right")
        self.assertNotEqual(left, right)
        self.ctr("tasks", "exec", "--exec-id", "p", "left", "ping", "-c", "1", "-W", "2", right)
        out = self.ctr("tasks", "exec", "--exec-id", "w", "left", "wget", "-qO-", f"http://{right}/").stdout
        self.assertEqual(out, "right\n")
        self.assertEqual(fetch(left, 80), "left\n")

    def test_published_on_every_address(self):
        self.serve("web", "-p", "8080:80")
        for address in ("127.0.0.1", "192.0.2.1", "10.97.0.1"):
            self.assertEqual(fetch(address, 8080), "web\n", address)
        self.assertEqual(fetch("192.0.2.1", 8080, outside=True), "web\n")
        # from a container, by the host's address
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "asks", "wget", "-qO-", "http://192.0.2.1:8080/").stdout
        self.assertEqual(out, "web\n")

    def test_published_on_one_address(self):
        self.serve("here", "-p", "127.0.0.1:8081:80")
        self.assertEqual(fetch("127.0.0.1", 8081), "here\n")
        self.assertEqual(fetch("192.0.2.1", 8081, tries=1), "")
        self.assertEqual(fetch("192.0.2.1", 8081, outside=True, tries=1), "")

    def test_ranges_and_udp(self):
        self.running("-p", "8100-8102:7000-7002/udp", "-p", "192.0.2.1:9000:80", name="many")
        pid = self.task_line("many").split()[1]
        echo = subprocess.Popen(["nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", ECHO, "7001"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(echo.communicate)
        self.addCleanup(echo.kill)
        echo.stdout.readline()
        self.assertIn("8100-8102->7000-7002/udp, 192.0.2.1:9000->80/tcp", self.ctr("ps").stdout)
        self.assertEqual(self.ctr("inspect", "many", "Network.Ports").stdout, "8100-8102->7000-7002/udp, 192.0.2.1:9000->80/tcp\n")
        for address in ("127.0.0.1", "192.0.2.1"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.sendto(b"ping", (address, 8101))
                self.assertEqual(s.recv(10), b"ping")

    def test_the_files(self):
        out = self.ctr("run", "--rm", "--hostname", "box.test", "--dns", "192.0.2.53", "--dns", "fd00::53", "--dns-search", "a.test", "--dns-search",
                       "b.test", "--dns-option", "ndots:3", self.IMAGE, "files", "sh", "-c",
                       "cat /etc/hosts /etc/hostname /etc/resolv.conf; hostname; echo 1.2.3.4 more >> /etc/hosts && tail -n 1 /etc/hosts").stdout
        self.assertRegex(out, r"(?s)127\.0\.0\.1\tlocalhost\n.*\n10\.97\.0\.\d+\tbox\.test files\nbox\.test\nsearch a\.test b\.test\n"
                              r"nameserver 192\.0\.2\.53\nnameserver fd00::53\noptions ndots:3\nbox\.test\n1\.2\.3\.4 more\n$")
        own = self.scratch.path / "hosts"
        own.write_text("mine\n")
        out = self.ctr("run", "--rm", "--cni", "--read-only", "--mount", f"type=bind,src={own},dst=/etc/hosts,options=rbind:ro", self.IMAGE, "own", "sh", "-c",
                       "cat /etc/hosts; grep -c ' /etc/' /proc/mounts").stdout
        self.assertEqual(out, "mine\n3\n")

    def test_with_a_user_namespace(self):
        out = self.ctr("run", "--rm", "--cni", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", self.IMAGE, "mapped", "sh", "-c",
                       "ip -4 addr show eth0; tail -n 1 /etc/hosts").stdout
        self.assertRegex(out, r"(?s)inet 10\.97.*\n10\.97\.0\.\d+\tmapped\n")

    def test_address_and_mac_of_ones_choice(self):
        out = self.ctr("run", "--rm", "--ip", "10.97.0.77", "--mac-address", "02:00:00:00:77:77", self.IMAGE, "chosen", "ip", "addr", "show", "eth0").stdout
        self.assertIn("inet 10.97.0.77/24", out)
        self.assertIn("link/ether 02:00:00:00:77:77", out)

    def test_two_networks_by_name(self):
        write_conf("20-more.conflist", bridge_list("more", "tbr1", ["10.98.0.0/24"], builtin=self.builtin))
        self.addCleanup(os.unlink, "/etc/cni/net.d/20-more.conflist")
        out = self.ctr("run", "--rm", "--network", "more", "--network", "test", self.IMAGE, "two", "ip", "-4", "addr").stdout
        self.assertRegex(out, r"(?s)inet 10\.98\.0\.\d+/24 .* eth0\n.*inet 10\.97\.0\.\d+/24 .* eth1\n")

    def test_ipv6(self):
        write_conf("30-six.conflist", bridge_list("six", "tbr6", ["10.99.0.0/24", "fd00:99::/64"], builtin=self.builtin))
        self.addCleanup(os.unlink, "/etc/cni/net.d/30-six.conflist")
        self.running("--network", "six", "-p", "[::1]:8066:80", "-p", "8067:80", name="six",
                     command=("sh", "-c", "mkdir /w; echo six > /w/index.html; exec httpd -f -p '[::]:80' -h /w"))
        wait_for("the address", lambda: fetch(self.address("six", 1), 80) == "six\n", 10)
        self.assertEqual(fetch("127.0.0.1", 8067), "six\n")

    def test_created_first(self):
        self.ctr("containers", "create", "-p", "8082:80", "--env", "HOSTNAME_SHOWN=later", self.IMAGE, "later", "sh", "-c", SERVE)
        self.assertEqual(leftovers(self.daemon.root), [])
        self.ctr("tasks", "start", "-d", "later")
        wait_for("the server", lambda: fetch("127.0.0.1", 8082) == "later\n", 10)

    def test_what_is_refused(self):
        for words, sentence in ((("-p", "80"), "invalid port mapping \"80\": expected [IP:]HOSTPORT:CONTAINERPORT[/PROTOCOL]"),
                                (("--cni", "--net-host"), "flags --net-host and --cni cannot be specified together"),
                                (("--network", "../x"), "invalid characters found in network name: ../x"),
                                (("--network", "none"), "no net configuration with name \"none\" in /etc/cni/net.d"),
                                (("--network", "test", "--network", "test"), "network \"test\" twice"),
                                (("--dns", "x"), "invalid value \"x\" for flag -dns"),
                                (("--ip", "10.97.0"), "invalid IP address"),
                                (("--cni", "--with-ns", "network:/proc/self/ns/net"), "the container shares the host's network")):
            r = self.ctr("run", "--rm", *words, self.IMAGE, "refused", "true", check=False)
            self.assertEqual(r.returncode, 1, words)
            self.assertIn(sentence, r.stderr)
            self.assertEqual(self.ctr("containers", "list", "-q").stdout, "")
        write_conf("40-bare.conflist", {"cniVersion": "1.0.0", "name": "bare", "plugins": [{"type": "loopback"}]})
        self.addCleanup(os.unlink, "/etc/cni/net.d/40-bare.conflist")
        r = self.ctr("run", "--rm", "--network", "bare", "-p", "1:1", self.IMAGE, "refused", "true", check=False)
        self.assertIn("network \"bare\" has no plugin with the capability \"portMappings\"", r.stderr)

    def test_the_cache_is_libcnis(self):
        self.serve("cached", "-p", "8083:80")
        path = pathlib.Path("/var/lib/cni/results/test-default-cached-eth0")
        doc = json.loads(path.read_text())
        self.assertEqual(sorted(doc), ["capabilityArgs", "config", "containerId", "ifName", "kind", "netns", "networkName", "result"])
        self.assertEqual((doc["kind"], doc["containerId"], doc["networkName"]), ("cniCacheV1", "default-cached", "test"))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertIn("default-cached", pathlib.Path("/var/lib/cni/networks/test", self.address("cached")).read_text())


def remove_cgroups(ns):
    """A namespace's own folders stay, as with the originals."""
    for p in (*pathlib.Path("/sys/fs/cgroup").glob(f"*/{ns}"), pathlib.Path("/sys/fs/cgroup", ns)):
        if p.is_dir():
            p.rmdir()


class Ends(NetworkTest):
    """However a container ends, its network ends."""

    def test_by_itself(self):
        self.running("-p", "8090:80", name="short", command=("sleep", "0.3"))
        wait_for("its end", lambda: "STOPPED" in self.task_line("short"))
        self.assert_clean()

    def test_with_its_shim(self):
        self.serve("orphan", "-p", "8091:80")
        pids = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and b"containerd-shim" in self.arguments(p) and b"orphan" in self.arguments(p)]
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        self.assert_clean()

    @staticmethod
    def arguments(p):
        try:
            return (p / "cmdline").read_bytes()
        except OSError:
            return b""

    def test_with_its_client(self):
        p = subprocess.Popen(self.daemon.command("run", "--rm", "-p", "8092:80", self.IMAGE, "left", "sleep", "1"), stdout=subprocess.DEVNULL, env=our_env())
        wait_for("it to run", lambda: "RUNNING" in self.task_line("left"))
        p.kill()
        p.wait()
        self.assertTrue(leftovers(self.daemon.root))
        wait_for("its end", lambda: "STOPPED" in self.task_line("left"))
        self.assert_clean()

    def test_while_the_daemon_is_dead(self):
        self.serve("stays", "-p", "8093:80")
        self.running("-p", "8094:80", name="goes", command=("sleep", "100"))
        pid = int(self.task_line("goes").split()[1])
        self.daemon.kill()
        self.assertEqual(fetch("127.0.0.1", 8093), "stays\n")
        os.kill(pid, signal.SIGKILL)
        self.daemon.start()
        wait_for("one to be left", lambda: {line.split("-A")[-1] for line in leftovers(self.daemon.root) if "8094" in line} == set(), 10)
        self.assertEqual(fetch("127.0.0.1", 8093), "stays\n")
        wait_for("its address", lambda: len([x for x in leftovers(self.daemon.root) if x.startswith("address")]) == 1, 10)
        self.ctr("tasks", "kill", "-s", "KILL", "stays")
        self.assert_clean()

    def test_all_killed_as_by_a_loss_of_power(self):
        for keep_record in (True, False):
            self.serve("lost", "-p", "8095:80")
            pid = int(self.task_line("lost").split()[1])
            shim = int(re.search(r"PPid:\s(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
            self.daemon.kill()
            os.kill(shim, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            folder = self.daemon.root / "io.casco.network/default/lost"
            sh("umount", str(folder / "netns"))
            sh("iptables", "-t", "nat", "-F")
            if not keep_record:  # it was not synced
                shutil.rmtree(folder)
            self.assertTrue([x for x in leftovers(self.daemon.root) if x.startswith("address")])
            self.daemon.start()
            self.assert_clean()
            self.ctr("tasks", "delete", "lost", check=False)
            self.ctr("containers", "delete", "lost")

    def test_the_monitor_attaches_again(self):
        self.serve("again", "--restart", "always", "-p", "8096:80", "--dns", "192.0.2.9")
        for _ in range(2):
            wait_for("the server", lambda: fetch("127.0.0.1", 8096) == "again\n", 10)
            pid = self.task_line("again").split()[1]
            self.ctr("tasks", "kill", "-s", "KILL", "again")
            wait_for("a new process", lambda p=pid: "RUNNING" in self.task_line("again") and self.task_line("again").split()[1] != p)
        wait_for("the server", lambda: fetch("127.0.0.1", 8096) == "again\n", 10)
        out = self.ctr("tasks", "exec", "--exec-id", "r", "again", "cat", "/etc/resolv.conf", "/etc/hosts").stdout
        self.assertIn("nameserver 192.0.2.9\n", out)
        self.assertIn(f"{self.address('again')}\tagain\n", out)
        self.assertEqual(len([x for x in leftovers(self.daemon.root) if x.startswith("address")]), 1)

    def test_two_that_could_have_one_name(self):
        """a with b-c, and a-b with c: neither is in the other's way, and the end of one leaves the other's network."""
        image = SHARE / "busybox.tar"
        for ns in ("a", "a-b"):
            self.addCleanup(remove_cgroups, ns)
            self.ctr("-n", ns, "images", "import", image)
        self.ctr("-n", "a", "run", "-d", "--cni", self.IMAGE, "b-c", "sleep", "100")
        before = leftovers(self.daemon.root)
        r = self.ctr("-n", "a-b", "run", "--rm", "--cni", self.IMAGE, "c", "ip", "-4", "-o", "addr", "show", "eth0")
        self.assertRegex(r.stdout, r"inet 10\.97\.0\.\d+/24")
        self.assertEqual([x for x in leftovers(self.daemon.root) if "-d 10.97" not in x], [x for x in before if "-d 10.97" not in x])
        self.ctr("-n", "a", "tasks", "delete", "--force", "b-c")
        self.ctr("-n", "a", "containers", "delete", "b-c")
        self.assert_clean()

    def test_twenty_at_once(self):
        names = [f"c{i}" for i in range(20)]
        children = [subprocess.Popen(self.daemon.command("run", "--rm", "--cni", self.IMAGE, n, "ip", "-4", "-o", "addr", "show", "eth0"),
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=our_env()) for n in names]
        outputs = [p.communicate(timeout=60)[0] for p in children]
        found = {m[1] for m in (re.search(r"inet (10\.97\.0\.\d+)/24", o) for o in outputs) if m}
        self.assertEqual(len(found), 20, outputs)
        self.assert_clean()

    def test_the_same_name_at_once(self):
        """Deleted and made again without a pause: the end of the first must not take the second's network."""
        for i in range(8):
            self.running("-p", "8097:80", name="same", command=("sleep", "100"))
            self.ctr("tasks", "delete", "--force", "same")
            self.ctr("containers", "delete", "same")
        self.serve("same", "-p", "8097:80")
        time.sleep(0.3)
        self.assertEqual(fetch("127.0.0.1", 8097), "same\n")


STUB = """#!/bin/sh
in=$(cat)
echo "$CNI_COMMAND ${{0##*/}}" >> {log}
{body}
"""


class Stubs(NetworkTest):
    """Plugins that do not do what they should; the first one of the list is well-behaved."""

    @classmethod
    def setUpClass(cls):
        cls.stubs = Scratch()
        cls.addClassCleanup(cls.stubs.remove)
        cls.config = NetworkTest.config + f"[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = ['{cls.stubs.path}', '{PLUGINS}']\n"
        super().setUpClass()

    def plugin(self, name, body):
        path = self.stubs.path / name
        path.write_text(STUB.format(log=self.stubs.path / "log", body=body))
        path.chmod(0o755)

    def network(self, body):
        self.plugin("good", "[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\": \"1.0.0\", \"ips\": []}'; exit 0")
        self.plugin("bad", body)
        write_conf("50-stub.conflist", {"cniVersion": "1.0.0", "name": "stub", "plugins": [{"type": "good"}, {"type": "bad"}]})
        self.addCleanup(os.unlink, "/etc/cni/net.d/50-stub.conflist")
        (self.stubs.path / "log").write_text("")

    def asked(self):
        return (self.stubs.path / "log").read_text().split("\n")[:-1]

    def failed_run(self, *more):
        r = self.ctr("run", "--rm", "--network", "stub", *more, self.IMAGE, "stubbed", "echo", "it ran", check=False)
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertEqual(self.ctr("tasks", "list").stdout.count("\n"), 1)
        self.assertEqual(self.ctr("containers", "list", "-q").stdout, "")
        self.assert_clean()
        return r.stderr

    def test_an_error_is_told_whole(self):
        self.network("[ $CNI_COMMAND = DEL ] || { echo '{\"code\": 117, \"msg\": \"no free address\", \"details\": \"in range 7\"}'; exit 1; }")
        self.assertIn(f"plugin type=\"bad\" failed (add): {self.stubs.path}/bad: no free address; in range 7", self.failed_run())
        self.assertEqual(self.asked()[:4], ["ADD good", "ADD bad", "DEL bad", "DEL good"])  # and once more by the record

    def test_a_plugin_that_is_not_there(self):
        """Known before anything is done: there is nothing to be left, which would need that plugin, too."""
        self.network("exit 0")
        (self.stubs.path / "bad").unlink()
        self.assertIn(f'plugin type="bad" failed (add): failed to find plugin "bad" in path [{self.stubs.path} {PLUGINS}]', self.failed_run())
        self.assertEqual(self.asked(), [])

    def test_what_goes_to_plugins_that_can(self):
        self.network("[ $CNI_COMMAND = ADD ] && echo \"$in\" > $0.stdin && echo '{\"cniVersion\": \"1.0.0\", \"ips\": []}'; exit 0")
        conf = {"type": "bad", "capabilities": {"aliases": True, "bandwidth": True}}
        write_conf("50-stub.conflist", {"cniVersion": "1.0.0", "name": "stub", "plugins": [{"type": "good"}, conf]})
        self.ctr("run", "--rm", "--network", "stub", "--network-alias", "db", "--network-alias", "store", "--ingress-bandwidth", "10M",
                 "--egress-bandwidth", "1500k", self.IMAGE, "named", "true")
        given = json.loads((self.stubs.path / "bad.stdin").read_text())["runtimeConfig"]
        self.assertEqual(given, {"aliases": ["db", "store"], "bandwidth": {
            "ingressRate": 10_000_000, "ingressBurst": 2**31 - 1, "egressRate": 1_500_000, "egressBurst": 2**31 - 1}})

    def test_huge_output(self):
        self.network("[ $CNI_COMMAND = DEL ] || exec head -c 50000000 /dev/zero")
        self.assertIn("it wrote more than 1048576 bytes", self.failed_run())

    def test_a_client_that_goes_away_is_no_reason_to_leak(self):
        self.network("[ $CNI_COMMAND = DEL ] || exec sleep 60")
        p = subprocess.Popen(self.daemon.command("run", "--rm", "--network", "stub", self.IMAGE, "waits", "true"), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=our_env())
        wait_for("the plugin", lambda: "ADD bad" in self.asked())
        p.kill()
        p.wait()
        wait_for("the undoing", lambda: self.asked()[:4] == ["ADD good", "ADD bad", "DEL bad", "DEL good"])
        self.assert_clean()
        self.ctr("containers", "delete", "waits")

    def test_a_daemon_killed_in_the_middle(self):
        self.network("[ $CNI_COMMAND = DEL ] || sleep 3")
        p = subprocess.Popen(self.daemon.command("run", "--rm", "--network", "stub", self.IMAGE, "middle", "true"), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=our_env())
        wait_for("the plugin", lambda: "ADD bad" in self.asked())
        self.daemon.kill()
        p.wait()
        self.daemon.start()
        self.ctr("tasks", "kill", "-s", "KILL", "middle", check=False)
        self.ctr("tasks", "delete", "--force", "middle", check=False)
        wait_for("the undoing", lambda: self.asked()[-2:] == ["DEL bad", "DEL good"])
        self.ctr("containers", "delete", "middle")
        self.assert_clean()

    def killed_in_the_middle(self, name, *more):
        """The daemon, while the last plugin is at it; the next one finds the container's end."""
        p = subprocess.Popen(self.daemon.command("run", "-d", "--network", "stub", *more, self.IMAGE, name, "sleep", "100"),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=our_env())
        wait_for("the plugin", lambda: "ADD bad" in self.asked())
        self.daemon.kill()
        p.wait()
        self.daemon.start()
        self.ctr("tasks", "delete", "--force", name, check=False)
        self.ctr("containers", "delete", name)

    def test_a_plugin_that_outlives_its_daemon(self):
        """What it makes at its end is undone behind it, and not before."""
        made = self.stubs.path / "made"
        self.network(f"[ $CNI_COMMAND = ADD ] && {{ sleep 1.5417; touch {made}; }}; [ $CNI_COMMAND = DEL ] && rm -f {made}; echo '{{}}'")
        self.killed_in_the_middle("orphan")
        self.assert_clean()
        wait_for("its end", lambda: "DEL bad" in self.asked() and not processes("sleep 1.5417"))
        self.assertFalse(made.exists())

    def test_ports_of_an_attachment_that_was_not_finished(self):
        """No result is cached by then, but the DEL needs the wishes: portmap does nothing without them."""
        self.network("[ $CNI_COMMAND = DEL ] || sleep 2")
        conf = bridge_list("stub", "tbr8", ["10.95.0.0/24"])
        conf["plugins"].append({"type": "bad"})
        write_conf("50-stub.conflist", conf)
        self.killed_in_the_middle("mapped", "-p", "127.0.0.1:8098:80")
        self.assert_clean()

    def test_a_delete_that_fails_is_tried_again(self):
        self.network("[ $CNI_COMMAND = ADD ] && { echo '{\"cniVersion\": \"1.0.0\"}'; exit 0; }; exit 4")
        self.running("--network", "stub", name="stuck", command=("sleep", "100"))
        self.ctr("tasks", "delete", "--force", "stuck")  # which it does not keep from its end
        self.assertIn("failed to remove network: plugin type=\\\"bad\\\" failed (delete)", self.daemon.log())
        r = self.ctr("tasks", "start", "-d", "stuck", check=False)
        self.assertIn("failed to remove network", r.stderr)
        self.plugin("bad", "echo '{}'")
        self.ctr("tasks", "start", "-d", "stuck")

    def test_an_address_that_cannot_be_had(self):
        write_conf("60-full.conflist", bridge_list("full", "tbr7", ["10.96.0.0/30"]))
        self.addCleanup(os.unlink, "/etc/cni/net.d/60-full.conflist")
        self.running("--network", "full", name="first", command=("sleep", "100"))
        r = self.ctr("run", "--rm", "--network", "full", self.IMAGE, "second", "true", check=False)
        self.assertIn("no IP addresses available in range set", r.stderr)
        self.assertEqual(self.task_line("second"), "")


class AttachedBuiltin(Attached):
    """The same, with no plugin but our own code for the same configuration."""
    builtin = True
    config = NetworkTest.config + "[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = ['/nowhere']\n"

    def test_what_it_cannot_do(self):
        for part, text in ((dict(more=[{"type": "tuning"}]), 'has no "tuning"'),
                           (dict(ipam={"ranges": [[{"subnet": "10.95.0.0/24", "rangeStart": "10.95.0.7"}]]}), 'does not know "rangeStart"')):
            write_conf("70-odd.conflist", bridge_list("odd", "tbr9", builtin=True, **part))
            r = self.ctr("run", "--rm", "--network", "odd", self.IMAGE, "odd", "true", check=False)
            self.assertIn(text, r.stderr)
        os.unlink("/etc/cni/net.d/70-odd.conflist")

    def test_nobody_comes_in_who_is_not_asked(self):
        write_conf("20-more.conflist", bridge_list("more", "tbr1", ["10.98.0.0/24"], builtin=True))
        self.addCleanup(os.unlink, "/etc/cni/net.d/20-more.conflist")
        self.serve("inner", "-p", "8085:80", "-p", "127.0.0.1:8086:80")
        address = self.address("inner")
        self.assertEqual(fetch(address, 80), "inner\n")
        # a machine beside the host that sends to the container itself, or to the host's 127.0.0.1
        self.assertEqual(fetch(address, 80, outside=True, tries=1), "")
        self.assertEqual(fetch("192.0.2.1", 8085, outside=True), "inner\n")
        self.assertEqual(fetch("192.0.2.1", 8086, outside=True, tries=1), "")
        for words in (("-w", "net.ipv4.conf.all.route_localnet=1"),):
            sh("ip", "netns", "exec", "outside", "sysctl", *words)
        sh("ip", "-n", "outside", "addr", "del", "127.0.0.1/8", "dev", "lo")
        self.addCleanup(sh, "ip", "-n", "outside", "addr", "add", "127.0.0.1/8", "dev", "lo")
        sh("ip", "-n", "outside", "route", "add", "127.0.0.1/32", "via", "192.0.2.1")
        self.addCleanup(sh, "ip", "-n", "outside", "route", "del", "127.0.0.1/32")
        self.assertEqual(fetch("127.0.0.1", 8086, outside=True, tries=1), "")
        # a container of another network
        r = self.ctr("run", "--rm", "--network", "more", self.IMAGE, "stranger", "sh", "-c", f"timeout 2 wget -qO- http://{address}/; true")
        self.assertEqual(r.stdout, "")
        out = self.ctr("run", "--rm", "--network", "more", self.IMAGE, "guest", "wget", "-qO-", "http://192.0.2.1:8085/").stdout
        self.assertEqual(out, "inner\n")

    def test_the_hosts_loopback_is_the_hosts(self):
        """The bridge routes 127.0.0.0/8 for the host's own use of published ports; a container may do what it likes with its routes."""
        server = subprocess.Popen(["python3", "-c", WHO, "7778"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        server.stdout.readline()
        with socket.create_connection(("127.0.0.1", 7778), timeout=5) as s:
            self.assertEqual(s.recv(20), b"127.0.0.1")
        self.running("-p", "8099:80", name="rogue")
        inside = ("nsenter", f"--net=/proc/{self.task_line('rogue').split()[1]}/ns/net")
        for words in (("ip", "addr", "del", "127.0.0.1/8", "dev", "lo"), ("sysctl", "-w", "net.ipv4.conf.all.route_localnet=1"),
                      ("ip", "route", "add", "127.0.0.1/32", "via", "10.97.0.1")):
            sh(*inside, *words)
        ask = "import socket; s = socket.create_connection(('%s', 7778), timeout=2); print(s.recv(20).decode())"
        self.assertIn("10.97.0.", sh(*inside, "python3", "-c", ask % "10.97.0.1"))
        self.assertEqual(sh(*inside, "python3", "-c", ask % "127.0.0.1", check=False), "")

    def test_its_way_out_is_the_hosts_address(self):
        server = subprocess.Popen(["ip", "netns", "exec", "outside", "python3", "-c", WHO, "7777"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        server.stdout.readline()
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "out", "sh", "-c", "echo | timeout 5 nc 192.0.2.2 7777").stdout
        self.assertEqual(out, "192.0.2.1")

    def test_ipv4_is_no_ipv6(self):
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "four", "sh", "-c", "sleep 0.5; ip -6 addr show eth0; cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6").stdout
        self.assertEqual(out, "1\n")
        self.assertEqual(sh("ip", "-6", "addr", "show", "tbr0"), "")

    def test_a_port_is_published_once(self):
        self.serve("first", "-p", "8087:80")
        r = self.ctr("run", "--rm", "-p", "8088:80", "-p", "8087:80", self.IMAGE, "second", "true", check=False)
        self.assertIn("port 8087 of the host is published by another container", r.stderr)
        self.assertEqual(fetch("127.0.0.1", 8087), "first\n")
        self.assertEqual(len([x for x in leftovers(self.daemon.root) if x.startswith("address")]), 1)

    def test_two_thousand_ports(self):
        self.running("-p", "20000-21999:1-2000", name="wide", command=("sh", "-c", SERVE))
        self.assertIn("20000-21999->1-2000/tcp", self.ctr("ps").stdout)
        self.assertEqual(len(elements("any4")), 2000)
        self.assertEqual(fetch("127.0.0.1", 20079).strip(), "")  # HOSTNAME_SHOWN is not set: an empty page
        with socket.create_connection(("127.0.0.1", 20079), timeout=5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(100))

    def test_rules_that_somebody_has_removed(self):
        self.serve("robbed", "-p", "8089:80")
        self.assertEqual(fetch("127.0.0.1", 8089), "robbed\n")
        said = "rules of nf_tables were taken away"
        self.assertNotIn(said, self.daemon.log())  # what we change ourselves is no news
        for i, rob in enumerate((drop_table, flush_rules)):
            rob()
            wait_for("the rules to come back", lambda n=i + 1: self.daemon.log().count(said) == n)
            self.assertEqual(fetch("127.0.0.1", 8089), "robbed\n")
            self.assertEqual(fetch("192.0.2.1", 8089, outside=True), "robbed\n")
        self.daemon.kill()
        drop_table()
        self.daemon.start()
        self.assertEqual(fetch("127.0.0.1", 8089), "robbed\n")
        self.ctr("tasks", "delete", "--force", "robbed")
        time.sleep(0.5)
        self.assertEqual(self.daemon.log().count(said), 3)


class Screened(NetworkTest):
    """publish_policy and publish_address of the configuration."""
    builtin = True
    config = NetworkTest.config + """
[plugins.'io.casco.network.v1.builtin']
  publish_policy = 'host-firewall'
"""

    def rule(self, *words):
        sh("iptables", "-I", *words)
        self.addCleanup(sh, "iptables", "-D", *words)
        time.sleep(0.6)  # the daemon hears of it, and asks everybody again

    def test_the_hosts_rules_decide(self):
        self.serve("web", "-p", "8101:80", "-p", "192.0.2.1:8102:80")
        self.assertEqual(fetch("127.0.0.1", 8101), "web\n")  # the host itself
        for port in (8101, 8102):
            self.assertEqual(fetch("192.0.2.1", port, outside=True), "web\n")
        self.rule("INPUT", "-p", "tcp", "--dport", "8101", "-j", "DROP")
        self.assertEqual(fetch("192.0.2.1", 8101, outside=True, tries=1), "")
        self.assertEqual(fetch("192.0.2.1", 8102, outside=True), "web\n")
        self.rule("INPUT", "-s", "192.0.2.2", "-p", "tcp", "--dport", "8101", "-j", "ACCEPT")
        self.assertEqual(fetch("192.0.2.1", 8101, outside=True), "web\n")
        self.assertEqual(fetch("127.0.0.1", 8101), "web\n")
        reach = json.loads(self.ctr("inspect", "web", "Network.Reach").stdout)
        self.assertEqual(reach, ["8101->80/tcp: from everywhere, if the host's rules for INPUT let it in",
                                 "192.0.2.1:8102->80/tcp: from whoever reaches 192.0.2.1, if the host's rules for INPUT let it in"])
        # who was let in to one address was not let in to another one
        sh("ip", "addr", "add", "192.0.2.9/24", "dev", "up-outside")
        self.addCleanup(sh, "ip", "addr", "del", "192.0.2.9/24", "dev", "up-outside")
        self.rule("INPUT", "-d", "192.0.2.9", "-p", "tcp", "--dport", "8101", "-j", "DROP")
        self.assertEqual(fetch("192.0.2.1", 8101, outside=True), "web\n")
        self.assertEqual(fetch("192.0.2.9", 8101, outside=True, tries=1), "")
        self.rule("FORWARD", "-p", "tcp", "--dport", "80", "-j", "DROP")
        self.assertEqual(fetch("192.0.2.1", 8101, outside=True, tries=1), "")

    def test_who_it_is_from_is_known(self):
        self.serve("who", "-p", "8103:80")
        hold = "import socket, sys; s = socket.create_connection(('192.0.2.1', 8103), timeout=20); print('open', flush=True); sys.stdin.read()"
        p = subprocess.Popen(["ip", "netns", "exec", "outside", "python3", "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(p.stdout.readline(), "open\n")
            self.assertIn("192.0.2.2:", self.ctr("tasks", "exec", "--exec-id", "n", "who", "netstat", "-tn").stdout)
        finally:
            p.communicate()


class OnAnAddress(NetworkTest):
    builtin = True
    config = NetworkTest.config + """
[plugins.'io.casco.network.v1.builtin']
  publish_address = '127.0.0.1'
"""

    def test_a_port_without_an_address(self):
        self.serve("web", "-p", "8104:80", "-p", "0.0.0.0:8105:80")
        self.assertEqual(fetch("127.0.0.1", 8104), "web\n")
        self.assertEqual(fetch("192.0.2.1", 8104, tries=1), "")
        self.assertEqual(fetch("192.0.2.1", 8104, outside=True, tries=1), "")
        self.assertEqual(fetch("192.0.2.1", 8105, outside=True), "web\n")

    def test_who_reaches_it_is_said(self):
        self.running("-p", "8106:80", "-p", "0.0.0.0:8107-8108:80-81", "-p", "0.0.0.0:8110:82", name="said")
        self.assertEqual(json.loads(self.ctr("inspect", "said", "Network.Reach").stdout), [
            "8106->80/tcp: from this host alone",
            "0.0.0.0:8107-8108->80-81/tcp, 0.0.0.0:8110->82/tcp: from everywhere, past the host's rules for INPUT"])
        self.assertIn("ok    ports: 1 containers publish some", self.ctr("doctor", check=False).stdout)
        sh("iptables", "-P", "INPUT", "DROP")
        self.addCleanup(sh, "iptables", "-P", "INPUT", "ACCEPT")
        self.assertIn("WARN  ports: the host's firewall lets nothing in, and ports of said and 0 more are open",
                      self.ctr("doctor", check=False).stdout)

    def test_what_the_built_in_network_cannot_do(self):
        for flag, value, capability in (("--ingress-bandwidth", "10M", "bandwidth"), ("--egress-bandwidth", "1", "bandwidth")):
            r = self.ctr("run", "--rm", flag, value, self.IMAGE, "slow", "true", check=False)
            self.assertIn(f'network "test" has no plugin with the capability "{capability}"', r.stderr)
        self.assertIn("bits a second", self.ctr("run", "--rm", "--egress-bandwidth", "fast", self.IMAGE, "slow", "true", check=False).stderr)

    def test_a_policy_that_there_is_not(self):
        path = self.scratch.path / "bad.toml"
        for key, value, text in (("publish_policy", "maybe", 'not "maybe"'), ("publish_address", "here", 'invalid IP address "here"')):
            path.write_text(f"version = 3\n[plugins.'io.casco.network.v1.builtin']\n  {key} = '{value}'\n")
            r = sh(self.daemon.binary, "--config", str(path), "config", "dump", check=False, err=True)
            self.assertIn(text, r)


class EndsBuiltin(Ends):
    builtin = True


class Compared(NetworkTest):
    maxDiff = None

    """The built-in network beside Debian's plugins with the same configuration."""

    def seen(self, builtin):
        write_conf("10-test.conflist", bridge_list(subnets=["10.97.0.0/24", "fd00:97::/64"], builtin=builtin))
        shutil.rmtree("/var/lib/cni/networks/test", ignore_errors=True)
        self.serve("seen", "-p", "8077:80", "--hostname", "seen")
        self.addCleanup(remove_bridges)
        record = self.record("seen")["Attachments"][0]
        for i in record["result"]["interfaces"]:
            i["mac"] = re.sub("[0-9a-f]{2}", "xx", i["mac"])
            i["name"] = re.sub("^veth.*", "vethN", i["name"])
        result = {"result": record["result"], "served": [fetch(a, p) for a, p in (("127.0.0.1", 8077), ("192.0.2.1", 8077), ("10.97.0.2", 80))]}
        result["files"] = {p.name: p.read_text() for p in pathlib.Path("/var/lib/cni/networks/test").glob("*")}
        for what in ("addr", "route", "-6 route"):
            text = self.ctr("tasks", "exec", "--exec-id", what.strip("-").replace(" ", "x"), "seen", "ip", *what.split()).stdout
            # names by chance, a queue that is not used, and how far the kernel is with an address
            text = re.sub(r" qlen \d+| tentative| flags 02", "", text)
            lines = [re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}|eth0@if\d+|fe80::\S+", "X", x).strip() for x in text.splitlines()]
            result[what] = sorted(x for x in lines if "valid_lft" not in x)
        result["bridge"] = sorted(re.findall(r"inet6? ((?!fe80)\S+) ", sh("ip", "addr", "show", "tbr0")))
        result["cache"] = sorted(json.loads(pathlib.Path("/var/lib/cni/results/test-default-seen-eth0").read_text()))
        self.ctr("tasks", "delete", "--force", "seen")
        self.ctr("containers", "delete", "seen")
        self.assert_clean()
        remove_bridges()
        return result

    def test_the_same_is_seen(self):
        ours, theirs = self.seen(True), self.seen(False)
        for key in ours:
            self.assertEqual(ours[key], theirs[key], key)

    def test_one_store_of_addresses(self):
        """host-local's program and we serve one network at the same time."""
        write_conf("10-test.conflist", bridge_list(builtin=True))
        self.addCleanup(remove_bridges)
        conf = dict(bridge_list()["plugins"][0], name="test", cniVersion="1.0.0")
        env = dict(os.environ, CNI_CONTAINERID="other", CNI_NETNS="/x", CNI_IFNAME="eth0", CNI_PATH=str(PLUGINS))

        def host_local(command):
            r = subprocess.run([PLUGINS / "host-local"], input=json.dumps(conf), capture_output=True, text=True, env=dict(env, CNI_COMMAND=command), check=True)
            return json.loads(r.stdout)["ips"][0]["address"].split("/")[0] if command == "ADD" else None

        self.running("--cni", name="one")
        other = host_local("ADD")
        self.running("--cni", name="two")
        self.assertEqual(len({self.address("one"), other, self.address("two")}), 3)
        for name in ("one", "two"):
            self.ctr("tasks", "delete", "--force", name)
        left = [p.name for p in pathlib.Path("/var/lib/cni/networks/test").glob("10*")]
        self.assertEqual(left, [other])
        host_local("DEL")


class WithoutConfiguration(NetworkTest):
    def setUp(self):
        super().setUp()
        os.rename("/etc/cni/net.d/10-test.conflist", "/etc/cni/net.d/10-test.no")
        self.addCleanup(os.rename, "/etc/cni/net.d/10-test.no", "/etc/cni/net.d/10-test.conflist")
        self.addCleanup(remove_bridges)

    def test_the_built_in_network(self):
        self.serve("plain", "-p", "8060:80")
        self.assertEqual(fetch("127.0.0.1", 8060), "plain\n")
        self.assertEqual(fetch("192.0.2.1", 8060, outside=True), "plain\n")
        self.assertRegex(self.address("plain"), r"^10\.63\.")
        self.assertEqual(self.record("plain")["Attachments"][0]["network"], "casco")
        out = self.ctr("run", "--rm", "--network", "casco", self.IMAGE, "named", "ip", "-4", "addr", "show", "eth0").stdout
        self.assertIn("inet 10.63.", out)

    def test_a_subnet_that_the_host_uses_is_left_alone(self):
        sh("ip", "route", "add", "10.63.5.0/24", "via", "192.0.2.2")
        self.addCleanup(sh, "ip", "route", "del", "10.63.5.0/24")
        out = self.ctr("run", "--rm", "--cni", self.IMAGE, "moved", "ip", "-4", "addr", "show", "eth0").stdout
        self.assertIn("inet 10.163.0.2/16", out)


if __name__ == "__main__":
    unittest.main()

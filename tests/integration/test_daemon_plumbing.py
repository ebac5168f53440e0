"""What surrounds the API: config.toml and its drop-ins, metrics, the debug socket, publish, oci-hook."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import time
import unittest
import urllib.error
import urllib.request

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, Terminal, free_port, program, run, wait_for


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


class Pages(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.port = free_port()
        cls.debug = cls.scratch.path / "debug" / "d.sock"
        more = f"""
[metrics]
  address = '127.0.0.1:{cls.port}'
  grpc_histogram = true
[debug]
  address = '{cls.debug}'
"""
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + more).start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/metrics", timeout=10) as r:
            return r.read().decode()

    def value(self, text, name, *labels):
        for line in text.splitlines():
            if line.startswith(name) and all(label in line for label in labels):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no {name} {labels} in {text[:2000]}")

    def test_requests_are_counted(self):
        labels = ('grpc_code="OK"', 'grpc_method="Version"')
        before = self.value(self.metrics(), "grpc_server_handled_total", *labels)
        for _ in range(3):
            self.ctr("version")
        text = self.metrics()
        self.assertEqual(self.value(text, "grpc_server_handled_total", *labels), before + 3)
        self.assertEqual(self.value(text, "grpc_server_handling_seconds_count", 'grpc_method="Version"'), before + 3)
        self.ctr("containers", "info", "nope", check=False)
        self.assertGreaterEqual(self.value(self.metrics(), "grpc_server_handled_total", 'grpc_code="NotFound"',
                                           'grpc_service="containerd.services.containers.v1.Containers"',
                                           'grpc_method="Get"'), 1)
        self.assertEqual(self.value(text, "containerd_build_info_total"), 1)
        self.assertGreater(self.value(text, "process_open_fds"), 5)

    def test_containers_have_figures(self):
        self.running(name="counted")
        text = self.metrics()
        labels = ('container_id="counted"', 'namespace="default"')
        v2 = "container_memory_usage_bytes" in text
        memory = "container_memory_usage_bytes" if v2 else "container_memory_usage_usage_bytes"
        self.assertGreater(self.value(text, memory, *labels), 0)
        self.assertEqual(self.value(text, "container_pids_current", *labels), 1)
        cpu = "container_cpu_usage_usec_microseconds" if v2 else "container_cpu_total_nanoseconds"
        self.assertGreater(self.value(text, cpu, *labels), 0)
        names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(names), len(set(names)))  # each family in one piece

    def test_other_requests_are_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as r:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/debug/vars", timeout=10)
        self.assertEqual(r.exception.code, 404)
        with self.assertRaises(urllib.error.HTTPError) as r:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/metrics", data=b"x", timeout=10)
        self.assertEqual(r.exception.code, 405)

    def test_silent_clients_are_dropped(self):
        idle = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(30)]
        for s in idle:
            self.addCleanup(s.close)
        self.ctr("version")  # the API does not wait for them
        for s in idle:
            s.settimeout(5)
            self.assertEqual(s.recv(1), b"")
        self.assertIn("process_open_fds", self.metrics())

    def test_debug_socket(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.debug).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.debug.parent).st_mode), 0o700)
        c = UnixHTTP(str(self.debug))
        c.request("GET", "/debug/vars")
        found = json.loads(c.getresponse().read())
        self.assertEqual(found["pid"], self.daemon.process.pid)
        self.assertGreater(found["threads"], 0)
        c = UnixHTTP(str(self.debug))
        c.request("GET", "/debug/threads")
        self.assertIn("comm: containerd", c.getresponse().read().decode())

    def test_threads_on_a_signal(self):
        """The file is the daemon's own: private, and under a name that nobody can know before."""
        seen = set(self.daemon.state.glob("*.threads.log"))
        os.kill(self.daemon.process.pid, signal.SIGUSR1)
        new = wait_for("the file", lambda: set(self.daemon.state.glob("*.threads.log")) - seen).pop()
        wait_for("its text", lambda: "thread " in new.read_text())
        self.assertEqual(stat.S_IMODE(new.stat().st_mode), 0o600)

    def test_publish(self):
        t = Terminal(self.daemon.command("events"))
        self.addCleanup(t.close)
        time.sleep(0.3)
        event = field(1, b"containerd.services.images.v1.ImageDelete") + field(2, field(1, b"an-image"))
        r = run([program("containerd"), "--address", self.daemon.address, "publish", "--namespace", "default",
                 "--topic", "/images/delete"], input=event.decode("latin-1"))
        self.assertEqual(r.stderr, "")
        t.expect("/images/delete")
        t.expect("an-image")
        r = run([program("containerd"), "--address", self.daemon.address, "publish", "--namespace", "default",
                 "--topic", "no-slash"], input=event.decode("latin-1"), check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("must start with '/'", r.stderr)

    def test_inspect_runtime(self):
        got = json.loads(self.ctr("plugins", "inspect-runtime", "--runc-root", "/a").stdout)
        self.assertEqual(got["Name"], "io.containerd.runc.v2")
        self.assertEqual(got["Options"]["root"], "/a")
        r = self.ctr("plugins", "inspect-runtime", "--runtime", "io.containerd.nope.v1", check=False)
        self.assertIn('binary not installed "containerd-shim-nope-v1"', r.stderr)
        liar = self.scratch.path / "liar"
        liar.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
        liar.chmod(0o755)
        r = self.ctr("plugins", "inspect-runtime", "--runtime", liar, check=False)
        self.assertIn("exit status 3", r.stderr)
        self.assertIn("no such thing", r.stderr)

    def test_doctor(self):
        r = self.ctr("doctor", "--format", "json", check=False)
        found = {c["check"]: c for c in json.loads(r.stdout)}
        for name in ("kernel", "socket", "daemon", "shims", "containerd"):
            self.assertEqual(found[name]["finding"], "ok", found[name])
        r = run([program("ctr"), "-a", self.scratch.path / "no.sock", "doctor"], check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("FAIL  socket:", r.stdout)
        self.assertIn("to do: start the daemon", r.stdout)

    def test_namespaces_and_leases(self):
        self.ctr("namespaces", "create", "full", "a=b")
        self.ctr("-n", "full", "containers", "create", "--config", self.spec(), "kept")
        r = self.ctr("namespaces", "remove", "full", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn('namespace "full" must be empty', r.stderr)
        self.ctr("-n", "full", "containers", "delete", "kept")
        self.assertEqual(self.ctr("namespaces", "remove", "full", "never-was").stdout, "full\nnever-was\n")
        r = self.ctr("leases", "delete", "never-was", check=False)
        self.assertEqual(r.stderr, 'ctr: lease "never-was": not found\n')

    def spec(self):
        path = self.scratch.path / "spec.json"
        path.write_text(self.ctr("oci", "spec").stdout)
        return path

    def test_oci_spec(self):
        ours = json.loads(self.ctr("oci", "spec").stdout)
        self.assertEqual(ours["linux"]["cgroupsPath"], "/default")
        self.assertNotIn("args", ours["process"])
        self.assertNotEqual(self.ctr("oci", "spec", "--platform", "windows/amd64", check=False).returncode, 0)
        if shutil.which("/usr/bin/ctr"):
            theirs = json.loads(run(["/usr/bin/ctr", "oci", "spec"]).stdout)
            for part in ("mounts", "root"):
                self.assertEqual(ours[part], theirs[part])
            self.assertEqual(ours["linux"]["cgroupsPath"], theirs["linux"]["cgroupsPath"])
            self.assertEqual(ours["process"]["capabilities"]["bounding"],
                             theirs["process"]["capabilities"]["bounding"])

    def test_deprecations(self):
        self.assertEqual(self.ctr("deprecations", "list").stdout, "")
        self.assertEqual(json.loads(self.ctr("deprecations", "list", "--format", "json").stdout), [])

    # every mutation of the API that needs no second program, and the topic it is told under
    STORY = [
        (("namespaces", "create", "told", "a=b"), ["/namespaces/create"]),
        (("namespaces", "label", "told", "c=d"), ["/namespaces/update"]),
        (("namespaces", "remove", "told"), ["/namespaces/delete"]),
        (("images", "tag", DaemonTest.IMAGE, "x/y:1"), ["/images/create"]),
        (("images", "label", "x/y:1", "k=v"), ["/images/update"]),
        (("run", "-d", DaemonTest.IMAGE, "hero", "sleep", "100"),
         ["/snapshot/prepare", "/containers/create", "/tasks/create", "/tasks/start"]),
        (("containers", "label", "hero", "q=r"), ["/containers/update"]),
        (("tasks", "exec", "--exec-id", "e1", "hero", "true"),
         ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"]),
        (("tasks", "pause", "hero"), ["/tasks/paused"]),
        (("tasks", "resume", "hero"), ["/tasks/resumed"]),
        (("tasks", "kill", "-s", "SIGKILL", "hero"), ["/tasks/exit"]),
        (("tasks", "delete", "hero"), ["/tasks/delete"]),
        (("containers", "delete", "hero"), ["/containers/delete"]),
        (("images", "rm", "x/y:1"), ["/images/delete"]),
    ]

    def test_every_mutation_is_told(self):
        t = Terminal(self.daemon.command("events"), cols=500)
        self.addCleanup(t.close)
        time.sleep(0.3)
        for command, topics in self.STORY:
            self.ctr(*command, check=command[:2] != ("tasks", "delete"))
            for topic in topics:
                before = t.expect(f" {topic} ")
                self.assertNotIn("/tasks/", before, f"another event before {topic}")
                self.assertFalse(before.startswith('{"type_url"'), before)

    def test_events_by_filter(self):
        t = Terminal(self.daemon.command("events", 'topic~="/namespaces/.+",event.name==one', "namespace==two"))
        self.addCleanup(t.close)
        time.sleep(0.3)
        for name in ("one", "two", "three"):
            self.ctr("namespaces", "create", name)
        self.ctr("-n", "two", "images", "tag", DaemonTest.IMAGE, "x/z:1", check=False)
        for name in ("three", "one"):
            self.ctr("namespaces", "remove", name)
        seen = t.expect("/namespaces/delete")
        self.assertIn("one /namespaces/create", seen)
        self.assertNotIn("three", seen)
        self.ctr("namespaces", "remove", "two")

    def test_bad_filters_are_refused(self):
        r = self.ctr("events", "topic~=", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("invalid argument", r.stderr)


class Configs(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)
        self.top = self.scratch.path

    def dump(self, text, check=True):
        (self.top / "c.toml").write_text(text)
        return run([program("containerd"), "-c", self.top / "c.toml", "config", "dump"], check=check)

    def test_unknown_keys_are_named(self):
        r = self.dump("version = 3\n\n[grpc]\n  adress = 'x'\n")
        self.assertIn("grpc/adress", r.stderr)
        self.assertIn("line=4", r.stderr)
        self.assertIn(f"file={self.top}/c.toml", r.stderr)

    def test_mistakes_of_an_import_name_it(self):
        (self.top / "d.toml").write_text("version = 3\nroot = 5\n")
        r = self.dump("version = 3\nimports = ['d.toml']\n", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"config {self.top}/d.toml: line 2: root must be a string", r.stderr)

    def test_required_plugins(self):
        d = Daemon(self.top, config='required_plugins = ["io.containerd.grpc.v1.nope"]\n' + CONFIG)
        r = run([program("containerd"), "-c", d.config], check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("required plugin [io.containerd.grpc.v1.nope] not included", r.stderr)
        d = Daemon(self.top, config='required_plugins = ["io.containerd.grpc.v1.tasks"]\noom_score = 7\n'
                                    f"temp = '{self.top}/tmp'\n" + CONFIG).start()
        self.addCleanup(d.stop)
        self.assertEqual(pathlib.Path(f"/proc/{d.process.pid}/oom_score_adj").read_text(), "7\n")
        self.assertEqual(stat.S_IMODE((self.top / "tmp").stat().st_mode), 0o700)

    def test_message_sizes(self):
        d = Daemon(self.top, config=CONFIG.replace("[grpc]", "[grpc]\n  max_send_message_size = 100")).start()
        self.addCleanup(d.stop)
        d.ctr("version")
        r = d.ctr("plugins", "ls", check=False)
        self.assertIn("larger than max", r.stderr)

    def test_oci_hook(self):
        bundle = self.top / "default" / "box"
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text('{"root": {"path": "rootfs"}}')
        state = json.dumps({"ociVersion": "1.0.2", "id": "box", "status": "created", "pid": 12, "bundle": str(bundle)})
        r = run([program("containerd"), "oci-hook", "--", "echo", "{{id}}", "{{ns}}", "{{pid}}", "{{rootfs}}"],
                input=state)
        self.assertEqual(r.stdout, f"box default 12 {bundle}/rootfs\n")


if __name__ == "__main__":
    unittest.main()

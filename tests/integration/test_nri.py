"""NRI: plugins over the real socket see tasks come and go, and change them."""
import json
import os
import pathlib
import shutil
import stat
import unittest

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, block_device, wait_for
from nri_plugin import Plugin, inner, pack, text, unpack

HERE = pathlib.Path(__file__).resolve().parent


class NRI(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.socket = cls.scratch.path / "nri" / "nri.sock"
        more = f"""
[plugins.'io.containerd.nri.v1.nri']
  socket_path = '{cls.socket}'
  plugin_path = '{cls.scratch.path}/plugins'
  plugin_config_path = '{cls.scratch.path}/conf.d'
  plugin_request_timeout = '700ms'
  plugin_registration_timeout = '700ms'
[plugins.'io.containerd.service.v1.tasks-service']
  blockio_config_file = '{cls.scratch.path}/blockio.yaml'
"""
        device, cls.number = block_device()
        (cls.scratch.path / "blockio.yaml").write_text("Classes:\n" + "".join(
            f"  {name}:\n    - Devices: ['{device}']\n      ThrottleReadBps: {rate}\n" for name, rate in (("slow", "3M"), ("fast", "9M"))))
        cls.install_plugin()
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + more).start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    @classmethod
    def install_plugin(cls):
        """One that the daemon starts, beside what is none."""
        for name in ("plugins", "conf.d"):
            (cls.scratch.path / name).mkdir()
        shutil.copy(HERE / "nri_plugin.py", cls.scratch.path / "plugins" / "05-listener")
        (cls.scratch.path / "plugins" / "05-listener").chmod(0o755)
        (cls.scratch.path / "plugins" / "README").write_text("no plugin\n")
        cls.heard = cls.scratch.path / "heard"
        (cls.scratch.path / "conf.d" / "listener.conf").write_text(f"{cls.heard}\n")

    def plugin(self, **kw):
        wait_for("the socket", self.socket.exists)
        p = Plugin.connect(self.socket, **kw)
        self.addCleanup(p.close)
        self.assertTrue(p.ready.wait(5))
        return p

    def adjusting(self, *fields, **kw):
        return self.plugin(answers={"CreateContainer": lambda q: pack((1, pack(*fields)))}, **kw)

    def end(self, name):
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        wait_for("its end", lambda: self.ctr("tasks", "delete", name, check=False).returncode == 0, 10)
        self.ctr("containers", "delete", name)

    def run_sh(self, script, *more, check=True):
        return self.ctr("run", "--rm", *more, self.IMAGE, "box", "sh", "-c", script, check=check)

    def test_socket_is_roots(self):
        wait_for("the socket", self.socket.exists)
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.socket.parent.stat().st_mode), 0o700)

    def test_a_whole_life(self):
        p = self.plugin(name="life")
        q = p.requests["Configure"]
        self.assertEqual((text(q, 2), q[4], q[5]), ("containerd", [700], [700]))
        self.running(name="box")
        self.end("box")
        expected = ["RunPodSandbox", "CreateContainer", "PostCreateContainer", "StartContainer", "PostStartContainer",
                    "StopContainer", "StopPodSandbox", "RemoveContainer", "RemovePodSandbox"]
        wait_for("all events", lambda: len(p.events) >= len(expected), 5)
        self.assertEqual([e[0] for e in p.events], expected)
        self.assertEqual({e[1] for e in p.events}, {"box"})
        c = inner(p.requests["CreateContainer"], 2)
        self.assertEqual(text(c, 1), "box")
        self.assertEqual([a.decode() for a in c[7]], ["sleep", "300"])
        self.assertIn("RemovePodSandbox box", wait_for("the started one", lambda: self.last_line()))
        self.assertTrue(self.heard.read_text().startswith("05 listener "))

    def last_line(self):
        line = self.heard.read_text().splitlines()[-1] if self.heard.exists() else ""
        return line if line.startswith("RemovePod") else None

    def test_environment_mounts_and_annotations(self):
        (self.scratch.path / "given").write_text("from outside\n")
        self.adjusting((2, ((1, "who"), (2, "nri"))), (4, ((1, "FROM_NRI"), (2, "yes"))), (4, ((1, "-TO_GO"),)),
                       (3, ((1, "/given"), (2, "bind"), (3, str(self.scratch.path / "given")), (4, "bind"), (4, "ro"))))
        r = self.run_sh("echo $FROM_NRI; echo gone=$TO_GO; cat /given; touch /given", "--env", "TO_GO=1", check=False)
        self.assertEqual(r.stdout, "yes\ngone=\nfrom outside\n")
        self.assertIn("Read-only file system", r.stderr)

    def test_limits_devices_rlimits_and_hooks(self):
        """What the kernel shows is what the plugin asked for."""
        mark = self.scratch.path / "hook-ran"
        hook = ((1, "/bin/sh"), (2, "sh"), (2, "-c"), (2, f"cat > {mark}"))
        memory, cpu = ((1, ((1, 96 << 20),)),), ((1, ((1, 512),)),)
        self.adjusting((5, ((2, hook),)), (7, ((1, "RLIMIT_NOFILE"), (2, 777), (3, 777))),
                       (6, ((1, ((1, "/dev/given"), (2, "c"), (3, 1), (4, 5), (5, ((1, 0o666),)))),
                            (2, ((1, memory), (2, cpu), (8, ((1, 33),)))), (4, ((1, 321),)))))
        r = self.run_sh("ulimit -n; head -c 3 /dev/given | wc -c; cat /proc/self/oom_score_adj;"
                        "cat /proc/self/cgroup", check=True)
        lines = r.stdout.split("\n")
        self.assertEqual(lines[:3], ["777", "3", "321"])
        self.assertEqual(json.loads(mark.read_text())["id"], "box")
        self.running(name="limited")
        spec = json.loads((self.daemon.state / "io.containerd.runtime.v2.task/default/limited/config.json").read_text())
        self.assertEqual(spec["linux"]["resources"]["memory"]["limit"], 96 << 20)
        self.assertEqual(self.limit("limited", "pids", "pids.max"), "33")
        self.end("limited")

    def test_devices_by_name(self):
        """CDI: the vendor's file says what the device is."""
        folder = pathlib.Path("/var/run/cdi")
        if not folder.exists():
            folder.mkdir(parents=True)
            self.addCleanup(folder.rmdir)
        for name in ("casco.json", "again.json"):
            self.addCleanup((folder / name).unlink, missing_ok=True)
        mark = self.scratch.path / "cdi-hook"
        (self.scratch.path / "library").write_text("the vendor's\n")
        (folder / "casco.json").write_text(json.dumps({"cdiVersion": "0.6.0", "kind": "casco.test/card", "devices": [
            {"name": "0", "containerEdits": {"env": ["CARD=0"], "deviceNodes": [{"path": "/dev/card0", "hostPath": "/dev/full"}], "additionalGids": [4242]}},
            {"name": "1", "containerEdits": {"env": ["CARD=1"]}}],
            "containerEdits": {"mounts": [{"hostPath": str(self.scratch.path / "library"), "containerPath": "/library", "options": ["ro", "bind"]}],
                               "hooks": [{"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", f"cat >{mark}"]}]}}))
        p = self.adjusting((8, ((1, "casco.test/card=0"),)))
        r = self.run_sh("echo $CARD; cat /library; stat -c %t:%T /dev/card0; (echo x >/dev/card0) 2>&1; id -G")
        self.assertEqual(r.stdout.splitlines()[:3], ["0", "the vendor's", "1:7"])
        self.assertIn("No space left", r.stdout)
        self.assertIn("4242", r.stdout.split())
        self.assertEqual(json.loads(mark.read_text())["id"], "box")
        p.close()
        for name, words in (("casco.test/card=7", "unresolvable CDI devices casco.test/card=7"), ("casco.test/other=0", "unresolvable"), ("../x", "unresolvable")):
            p = self.adjusting((8, ((1, name),)))
            self.assertIn(words, self.run_sh("true", check=False).stderr)
            self.ctr("containers", "delete", "box", check=False)
            p.close()
        shutil.copy(folder / "casco.json", folder / "again.json")
        p = self.adjusting((8, ((1, "casco.test/card=1"),)))
        self.assertIn("in two files", self.run_sh("true", check=False).stderr)

    def test_rules(self):
        """The operator's, which no plugin gets around."""
        base = self.scratch.path / "strict"
        base.mkdir()
        d = Daemon(base, config=CONFIG + f"""
[plugins.'io.containerd.nri.v1.nri']
  socket_path = '{base}/nri.sock'
  plugin_request_timeout = '30s'
[plugins.'io.containerd.nri.v1.nri'.default_validator]
  enable = true
  reject_oci_hook_adjustment = true
  reject_namespace_adjustment = true
  reject_unconfined_seccomp_adjustment = true
  required_plugins = ['guard']
  tolerate_missing_plugins_annotation = 'no-guard'
""").start()
        self.addCleanup(d.stop)
        d.ctr("images", "import", SHARE / "busybox.tar")

        def start(*more):
            r = d.ctr("run", "--rm", *more, self.IMAGE, "box", "echo", "ran", check=False)
            d.ctr("containers", "delete", "box", check=False)
            return r.stdout + r.stderr

        self.assertIn("required plugins [guard] not present", start())
        self.assertEqual(start("--annotation", "no-guard=true"), "ran\n")
        socket, wants = base / "nri.sock", []
        wait_for("the socket", socket.exists)
        p = Plugin.connect(socket, name="guard", answers={"CreateContainer": lambda q: pack((1, pack(*wants)))})
        self.addCleanup(p.close)
        self.assertTrue(p.ready.wait(5))
        self.assertEqual(start(), "ran\n")
        for wants, words in (([(5, ((2, ((1, "/bin/true"),)),))], "OCI hook injection"), ([(6, ((7, ((1, "network"),)),))], "namespace adjustment"), ([(6, ((6, ((1, "SCMP_ACT_ALLOW"),)),))], "seccomp policy adjustment")):
            self.assertIn(f'-guard" attempted restricted {words}', start())
        wants = [(4, ((1, "A"), (2, "b")))]
        self.assertEqual(start(), "ran\n")

    def limit(self, name, controller, file):
        pid = next(line.split()[1] for line in self.ctr("tasks", "list").stdout.splitlines() if line.startswith(name))
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for place in (f"/sys/fs/cgroup/{controller}{path}", f"/sys/fs/cgroup{path}"):
                if (controller in names.split(",") or not names) and os.path.exists(f"{place}/{file}"):
                    return pathlib.Path(f"{place}/{file}").read_text().strip()
        raise AssertionError(f"no {file}")

    def test_two_plugins_in_order(self):
        self.adjusting((4, ((1, "A"), (2, "first"))), index="20", name="late")
        early = self.plugin(index="11", name="early")
        seen = []
        last = self.plugin(index="30", name="last", answers={"CreateContainer": lambda q: seen.append(
            [e.decode() for e in inner(q, 2)[8]]) or b""})
        self.run_sh("true")
        self.assertIn("A=first", seen[0])
        self.assertNotIn(b"A=first", inner(early.requests["CreateContainer"], 2)[8])
        self.assertEqual(last.events[1][0], "CreateContainer")
        self.adjusting((4, ((1, "A"), (2, "second"))), index="40", name="rival")
        r = self.run_sh("true", check=False)
        self.assertIn('plugins "20-late" and "40-rival" both tried to set env A', r.stderr)

    def test_a_refusal_ends_the_request(self):
        def no(_):
            raise RuntimeError("not in my house")
        p = self.plugin(name="no", answers={"CreateContainer": no})
        r = self.run_sh("true", check=False)
        self.assertIn('NRI plugin "10-no": not in my house', r.stderr)
        self.assertFalse(p.gone.is_set())

    def test_unsolicited_update(self):
        p = self.plugin(name="update")
        self.running(name="box")
        r = p.call("UpdateContainers", pack((1, ((1, "box"), (2, ((1, ((8, ((1, 22),)),)),)))),
                                            (1, ((1, "nobody"), (2, ((1, ((8, ((1, 1),)),)),))))))
        self.assertEqual([text(unpack(f), 1) for f in r[1]], ["nobody"])
        self.assertEqual(self.limit("box", "pids", "pids.max"), "22")
        self.end("box")

    def test_classes_of_block_devices(self):
        """By the file that config.toml names, at the creation and afterwards."""
        if not self.number:
            self.skipTest("this machine has no block device")
        p = self.adjusting((6, ((2, ((4, ((1, "slow"),)),)),)), name="io")
        self.running(name="box")
        spec = json.loads((self.daemon.state / "io.containerd.runtime.v2.task/default/box/config.json").read_text())
        major, minor = map(int, self.number.split(":"))
        self.assertEqual(spec["linux"]["resources"]["blockIO"], {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 3000000}]})

        def update(name):
            return [text(unpack(f), 1) for f in p.call("UpdateContainers", pack((1, ((1, "box"), (2, ((1, ((4, ((1, name),)),)),)))))).get(1, [])]

        self.assertEqual(update("fast"), [])
        if os.path.exists("/sys/fs/cgroup/blkio"):
            self.assertEqual(self.limit("box", "blkio", "blkio.throttle.read_bps_device").split(), [self.number, "9000000"])
        self.assertEqual(update("none"), ["box"])
        self.end("box")

    def test_synchronize(self):
        self.running(name="early")
        p = self.plugin(name="sync")
        q = p.requests["Synchronize"]
        self.assertEqual([text(unpack(c), 1) for c in q[2]], ["early"])
        self.assertEqual(unpack(q[2][0])[4], [3])  # CONTAINER_RUNNING
        self.end("early")
        wait_for("its removal", lambda: ("RemoveContainer", "early", "early") in p.events, 5)

    def test_the_deaf_are_dropped(self):
        p = self.plugin(name="deaf", answers={"CreateContainer": lambda q: None})
        self.run_sh("true")  # after its timeout, without it
        self.assertTrue(p.gone.wait(5))
        silent = Plugin.connect(self.socket, register=False)
        self.addCleanup(silent.close)
        self.assertTrue(silent.gone.wait(5))

    def test_bad_names_and_lengths(self):
        p = Plugin.connect(self.socket, register=False)
        self.addCleanup(p.close)
        with self.assertRaisesRegex(RuntimeError, "invalid plugin index"):
            p.call("RegisterPlugin", pack((1, "x"), (2, "1")))
        p.sock.sendall(b"\0\0\0\1\xff\xff\xff\xff")
        self.assertTrue(p.gone.wait(5))
        self.run_sh("true")

    def test_events_that_nobody_wants(self):
        p = self.plugin(name="few", events=1 << 10)  # RemoveContainer
        self.run_sh("true")
        wait_for("it", lambda: p.events, 5)
        self.assertEqual([e[0] for e in p.events], ["RemoveContainer"])


if __name__ == "__main__":
    unittest.main()

"""linux.seccomp: every action, operator and flag; listeners that get notifications."""
import fcntl
import json
import os
import socket
import struct
import subprocess
import threading
import unittest

from bundle import RuncTest
from casco import program

NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_…
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
ENOMEDIUM = 123


class Agent:
    """Listens, keeps what was sent with each listener, and answers every notification: -errno, or let it go on."""

    def __init__(self, path, errno=ENOMEDIUM):
        self.errno, self.states, self.count = errno, [], 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(8)
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 4)
            self.states.append((json.loads(data), len(fds)))
            for fd in fds:
                self.threads.append(threading.Thread(target=self.answer, args=(fd,), daemon=True))
                self.threads[-1].start()

    def answer(self, fd):
        try:
            while True:
                request = bytearray(80)
                fcntl.ioctl(fd, NOTIF_RECV, request)
                self.count += 1
                id_ = struct.unpack_from("Q", request)[0]
                error, flags = (-self.errno, 0) if self.errno else (0, CONTINUE)
                fcntl.ioctl(fd, NOTIF_SEND, struct.pack("QqiI", id_, 0, error, flags))
        except OSError:  # the last process of the filter has ended
            os.close(fd)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        self.socket.close()


class Notify(RuncTest):
    def setUp(self):
        super().setUp()
        self.path = self.top / "agent.sock"

    def agent(self, **kw):
        a = Agent(self.path, **kw)
        self.addCleanup(a.close)
        return a

    def profile(self, *names, **fields):
        self.b.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(self.path), "listenerMetadata": "m",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}], **fields}

    def nnp(self, on):
        self.b.config["process"]["noNewPrivileges"] = on

    def test_run(self):
        agent = self.agent()
        self.b.config["annotations"] = {"a": "b"}
        for on in (False, True):
            self.nnp(on)
            self.profile("mkdir", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
            out = self.sh("mkdir /dev/shm/x 2>&1; echo $?; ls /proc/self/fd | wc -l")
            self.assertIn("No medium found", out)
            self.assertEqual(out.split()[-2:], ["1", "4"])  # no descriptor of ours is left
        self.assertEqual([n for _, n in agent.states], [1, 1])
        state = agent.states[0][0]
        self.assertEqual(state["fds"], ["seccompFd"])
        self.assertEqual(state["metadata"], "m")
        inner = state["state"]
        self.assertEqual((inner["id"], inner["status"], inner["pid"], inner["bundle"], inner["annotations"]),
                         (self.id, "creating", state["pid"], str(self.b.path), {"a": "b"}))
        self.assertTrue(state["ociVersion"].startswith("1."))

    def test_create_start_and_exec(self):
        agent = self.agent()
        for on in (False, True):
            self.nnp(on)
            self.profile("mkdir")
            self.b.config["process"]["args"] = ["sleep", "60"]
            self.b.write()
            with open(self.top / "out", "w") as out:
                self.assertEqual(self.create(out), 0, (self.top / "out").read_text())
            self.assertEqual(self.runc("start", self.id).returncode, 0)
            pid = json.loads(self.runc("state", self.id).stdout)["pid"]
            r = self.runc("exec", self.id, "mkdir", "/dev/shm/x")
            self.assertIn("No medium found", r.stderr)
            state = agent.states[-1][0]
            self.assertEqual((state["state"]["status"], state["state"]["pid"]), ("running", pid))
            self.assertNotEqual(state["pid"], pid)
            self.runc("delete", "-f", self.id)
        self.assertEqual(len(agent.states), 4)

    def test_in_a_user_namespace(self):
        agent = self.agent()
        linux = self.b.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        os.chmod(self.top, 0o711)
        for on in (False, True):
            self.nnp(on)
            self.profile("mkdir")
            self.assertIn("No medium found", self.sh("mkdir /dev/shm/x 2>&1 || true"))
        self.assertEqual(len(agent.states), 2)

    def create(self, out):
        return subprocess.run([program("runc"), "--root", self.state, "create", self.id], cwd=self.b.path, check=False,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=30).returncode

    def test_calls_that_the_start_itself_makes(self):
        """The agent answers while the start goes on: what runc's own suite calls important syscalls."""
        agent = self.agent(errno=0)
        for on in (False, True):
            self.nnp(on)
            self.profile("execve", "openat", "open", "read", "close", "sendto", "sendmsg")
            self.sh("true")
        self.assertGreaterEqual(agent.count, 2)  # the execve of each

    def test_start_container_hook_sees_no_listener(self):
        self.agent()
        self.profile("mkdir")
        self.b.config["hooks"] = {"startContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "test $(ls /proc/self/fd | wc -l) = 4"]}]}
        self.sh("true")

    def test_without_an_agent(self):
        self.profile("mkdir")
        self.fails("failed to connect with seccomp agent specified in the seccomp profile: "
                   f"dial unix {self.path}: connect: no such file or directory")

    def test_an_agent_that_ended(self):
        self.agent()
        self.profile("mkdir")
        agent_fd_closed = "Function not implemented"
        original, Agent.answer = Agent.answer, lambda self, fd: os.close(fd)
        try:
            self.assertIn(agent_fd_closed, self.sh("sleep 0.2; mkdir /dev/shm/x 2>&1 || true"))
        finally:
            Agent.answer = original

    def test_refusals(self):
        self.profile("mkdir", listenerPath="")
        self.fails("seccomp listenerPath is not set")
        self.profile("write")
        self.fails("SCMP_ACT_NOTIFY cannot be used for the write syscall")
        self.profile("mkdir", defaultAction="SCMP_ACT_NOTIFY")
        self.fails("SCMP_ACT_NOTIFY cannot be used as default action")

    def test_a_path_that_nothing_uses(self):
        self.profile("mkdir", syscalls=[])
        self.sh("mkdir /dev/shm/x")


class Actions(RuncTest):
    def profile(self, default="SCMP_ACT_ALLOW", *rules, **fields):
        self.b.config["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules), **fields}

    def rule(self, action, *names, **fields):
        return {"names": list(names) or ["mkdir"], "action": action, **fields}

    def test_killing(self):
        for action in ("SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"):
            self.profile("SCMP_ACT_ALLOW", self.rule(action))
            self.assertEqual(self.sh("mkdir /dev/shm/x 2>/dev/null; echo $?").split()[-1], "159", action)  # SIGSYS
        self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_TRAP"))
        self.assertEqual(self.sh("mkdir /dev/shm/x 2>/dev/null; echo $?").split()[-1], "159")

    def test_errno_trace_log_allow(self):
        self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_ERRNO", errnoRet=ENOMEDIUM))
        self.assertIn("No medium found", self.sh("mkdir /dev/shm/x 2>&1 || true"))
        self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_TRACE"))  # nobody traces: ENOSYS
        self.assertIn("Function not implemented", self.sh("mkdir /dev/shm/x 2>&1 || true"))
        self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_LOG"))
        self.sh("mkdir /dev/shm/x")
        self.profile("SCMP_ACT_LOG", self.rule("SCMP_ACT_ALLOW"))
        self.sh("mkdir /dev/shm/x")

    def test_flags(self):
        for flags in ([], ["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
                      ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]):
            self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_ERRNO"), flags=flags)
            self.assertIn("Operation not permitted", self.sh("mkdir /dev/shm/x 2>&1 || true"), flags)

    def test_operators(self):
        """kill(0, sig): which numbers of the second argument are refused."""
        rows = (("SCMP_CMP_NE", 10, 0, "11"), ("SCMP_CMP_LT", 11, 0, "10"), ("SCMP_CMP_LE", 10, 0, "10"),
                ("SCMP_CMP_EQ", 10, 0, "10"), ("SCMP_CMP_GE", 11, 0, "11"), ("SCMP_CMP_GT", 10, 0, "11"),
                ("SCMP_CMP_MASKED_EQ", 3, 3, "11"))
        for op, value, two, refused in rows:
            self.profile("SCMP_ACT_ALLOW", self.rule("SCMP_ACT_ERRNO", "kill", args=[
                {"index": 1, "value": value, "valueTwo": two, "op": op}]))
            for sig in ("10", "11"):
                out = self.sh(f"sleep 5 & kill -{sig} $! 2>&1 || true; kill -9 $! 2>/dev/null || true")
                self.assertEqual("not permitted" in out, sig == refused, (op, sig, out))


if __name__ == "__main__":
    unittest.main()

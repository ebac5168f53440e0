"""Descriptors and keys of the caller's, and our own binary."""
import contextlib
import ctypes
import errno
import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

from attack import Attack, casco


# x86-64 and AArch64 have numbers of their own.
SYS_ADD_KEY, SYS_KEYCTL = (217, 219) if os.uname().machine == "aarch64" else (248, 250)
KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING = 1, 5, -3

LOOK = ("/bin/sh", "-c", "pwd; ls -d ../../../../etc/debian_version; cat file ../file ../host/file")


class Descriptors(Attack):
    def assert_inside(self, r):
        """Refused in words, or a folder of the container after all: never one of the host."""
        if r.returncode and not r.stdout:
            self.assert_clear_error(r)
        self.assertNotIn("unreachable", r.stdout)
        self.assertNotIn("debian_version", r.stdout)
        self.assertNotIn("the host's secret", r.stdout)

    def test_cwd_in_a_leaked_descriptor(self):
        """CVE-2024-21626"""
        for n in range(3, 24):
            self.assert_inside(self.run_config(self.config(*LOOK, cwd=f"/proc/self/fd/{n}")))

    def test_cwd_by_a_symlink_to_a_leaked_descriptor(self):
        """CVE-2024-21626"""
        for n in range(3, 24):
            link = self.rootfs / f"way{n}"
            link.symlink_to(f"/proc/self/fd/{n}")
            self.assert_inside(self.run_config(self.config(*LOOK, cwd=f"/way{n}")))

    def test_exec_with_such_a_cwd_or_program(self):
        """CVE-2024-21626"""
        with self.running(self.config("/bin/sleep", "1000")) as name:
            for n in range(3, 24):
                self.assert_inside(self.runc("exec", "--cwd", f"/proc/self/fd/{n}", name, *LOOK))
                r = self.runc("exec", name, f"/proc/self/fd/{n}/../../../../bin/cat", "/etc/hostname")
                self.assertNotEqual(r.returncode, 0)

    def test_only_the_three_streams(self):
        config = self.config("/bin/sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done")
        with open(self.host / "file") as leak:
            # One of the caller's, not close-on-exec: it must stay behind too.
            r = self.run_config(config, pass_fds=[leak.fileno()])
        lines = [x for x in r.stdout.splitlines() if not x.startswith(("pipe:", "/dev/null"))]
        self.assertEqual([x for x in lines if x != "/proc/1/fd" and not x.startswith("/proc/")], [], r.stdout)

    def test_preserving_descriptors_that_are_not_open(self):
        """CVE-2024-21626: the numbers behind the caller's are the runtime's: cgroups, the host's /proc."""
        config = self.config("/bin/ls", "-l", "/proc/self/fd")
        for n in (1, 6, 12, 2147483647):
            for options, env in ((["--preserve-fds", n], {}), ([], {"LISTEN_FDS": str(n)})):
                with self.subTest(n, env=env):
                    self.write(config)
                    r = self.runc("run", *options, "--bundle", self.bundle, "preserve", env={**os.environ, **env})
                    self.assert_clear_error(r)
                    self.assertEqual(r.stdout, "")
        with self.running(self.config("/bin/sleep", "1000")) as name:
            r = self.runc("exec", "--preserve-fds", 9, name, "/bin/ls", "-l", "/proc/self/fd")
            self.assert_clear_error(r)
            self.assertEqual(r.stdout, "")

    def test_keys_of_the_caller_stay_outside(self):
        """A session keyring is inherited: without one of its own, a process reads the host's keys."""
        def join_and_add():
            libc = ctypes.CDLL(None)
            libc.syscall(SYS_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, b"the-hosts-keyring")
            key = libc.syscall(SYS_ADD_KEY, b"user", b"the-hosts-key", b"secret", 6, KEY_SPEC_SESSION_KEYRING)
            libc.syscall(SYS_KEYCTL, KEYCTL_SETPERM, key, 0x3f000000)  # for who possesses it

        keys = subprocess.run(["cat", "/proc/keys"], preexec_fn=join_and_add, capture_output=True, text=True, check=False)
        if "the-hosts-key:" not in keys.stdout:
            self.skipTest("no keyrings here")
        config = self.config("/bin/cat", "/proc/keys")
        config["linux"]["maskedPaths"].remove("/proc/keys")
        r = self.run_config(config, preexec_fn=join_and_add)
        self.assertIn("_ses.", r.stdout)
        self.assertNotIn("the-hosts-key:", r.stdout)
        config["process"]["args"] = ["/bin/sleep", "1000"]
        with self.running(config) as name:
            r = self.runc("exec", name, "/bin/cat", "/proc/keys", preexec_fn=join_and_add)
            self.assertIn(f"_ses.{name}", r.stdout)
            self.assertNotIn("the-hosts-key:", r.stdout)

    def test_joining_process_shows_nothing(self):
        """CVE-2016-9962: every descriptor that a process of the container can see of another."""
        watch = ("while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || "
                 "for f in $p/fd/* $p/cwd $p/root $p/exe; do readlink $f; done; done >> /tmp/seen 2>/dev/null; done")
        config = self.config("/bin/sh", "-c", watch)
        config["root"]["readonly"] = False
        with self.running(config) as name:
            for _ in range(20):
                self.runc("exec", name, "/bin/true")
        seen = set((self.rootfs / "tmp" / "seen").read_text().split("\n"))
        seen.discard(str(self.scratch.path / "run.log"))  # its own output
        bad = [s for s in seen if str(self.scratch.path) in s or "/sys/fs/cgroup" in s or s.endswith("/runc")]
        self.assertEqual(bad, [])

    def test_our_own_binary_cannot_be_written(self):
        """CVE-2019-5736

        Control: without runtime_protect_self() and entry.c the file is written."""
        ours = self.scratch.path / "bin" / "runc"
        ours.parent.mkdir()
        shutil.copy(self.runtime, ours)
        before = hashlib.sha256(ours.read_bytes()).digest()
        (self.rootfs / "bin" / "evil").symlink_to("/proc/self/exe")
        (self.rootfs / "bin" / "evil.sh").write_text("#!/proc/self/exe\n")
        (self.rootfs / "bin" / "evil.sh").chmod(0o755)
        for program in ("/bin/evil", "/bin/evil.sh", "/proc/self/exe"):
            self.run_config(self.config(program), runtime=ours)
        # A copy of us that waits for its config.json; who sees it keeps it open, and writes when it has ended.
        (self.rootfs / "b").mkdir()
        os.mkfifo(self.rootfs / "b" / "config.json")
        watch = ("while :; do sleep 0.2; echo > /b/config.json; done & while :; do for p in /proc/[0-9]*; do e=$(readlink $p/exe); case $e in *busybox|'') ;; "
                 "*) command exec 3<$p/exe || continue; i=0; while [ $i -lt 200 ]; do i=$((i+1)); "
                 "(echo evil > /proc/self/fd/3) 2>/dev/null && break; done; exec 3<&-;; esac; done; done")
        config = self.config("/bin/sh", "-c", watch)
        config["root"]["readonly"] = False
        with self.running(config) as name, contextlib.suppress(OSError):  # one that was written is no program
            for program in ("/bin/true", "/bin/evil", "/proc/self/exe", "/bin/evil.sh") * 3:
                self.runc("exec", name, program, "run", "--bundle", "/b", "x", runtime=ours)
        self.assertEqual(before, hashlib.sha256(ours.read_bytes()).digest(), "our binary was written")

    def test_nothing_of_us_is_on_a_mount_that_can_be_written(self):
        """What a container could find of its creator: the program, and every part of it that is mapped."""
        self.write(self.config("/bin/sleep", "1000"))
        words = [*map(str, self.command("run", "--bundle", self.bundle, "mapped"))]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as us:
            try:
                proc = pathlib.Path(f"/proc/{us.pid}")
                casco.wait_for("the container", lambda: '"running"' in self.runc("state", "mapped").stdout)
                self.assertEqual(os.readlink(proc / "exe"), "/")
                self.assertEqual((proc / "cmdline").read_bytes().split(b"\0")[:-1], [w.encode() for w in words])
                self.assertIn(b"PATH=", (proc / "environ").read_bytes())
                mapped = [p for p in (proc / "map_files").iterdir() if os.readlink(p).startswith("/")]
                self.assertGreaterEqual(len(mapped), 3)
                for part in [proc / "exe", *mapped]:
                    self.assertEqual(os.readlink(part), "/", part)
                    self.assertTrue(os.statvfs(part).f_flag & os.ST_RDONLY, part)
                    with self.assertRaises(OSError) as refused:
                        os.close(os.open(part, os.O_WRONLY))
                    self.assertIn(refused.exception.errno, (errno.EROFS, errno.ETXTBSY), part)
            finally:
                self.runc("delete", "-f", "mapped")


if __name__ == "__main__":
    unittest.main()

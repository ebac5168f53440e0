"""Terminals where the image has the names: /dev/pts, ptmx and the slaves are what it says they are."""
import contextlib
import os
import stat
import subprocess
import unittest

import attack
from attack import Attack


class Terminals(Attack):
    def without_devpts(self, *args):
        """The image's own /dev, no devpts over it."""
        config = self.config(*args)
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]
        config["process"]["terminal"] = True
        config["root"]["readonly"] = False
        (self.rootfs / "dev" / "pts").mkdir(exist_ok=True)
        return config

    def run_on_terminal(self, config):
        """Output of the container's terminal, and the runtime's own words."""
        self.write(config)
        self.count += 1
        name = f"attack-{os.getpid()}-{self.count}"
        path = self.scratch.path / f"console-{self.count}"
        console = attack.ConsoleSocket(path)
        log = self.scratch.path / "terminal.log"
        try:
            with open(log, "wb") as f:
                r = subprocess.run(
                    self.command("run", "--detach", "--bundle", self.bundle, "--console-socket", path, name),
                    stdin=subprocess.DEVNULL, stdout=f, stderr=f, timeout=attack.TIMEOUT, check=False)
            text = b""
            if r.returncode == 0:
                console.thread.join(attack.TIMEOUT)
                with contextlib.suppress(OSError):  # EIO: its other end has closed
                    while chunk := os.read(console.fds[0], 4096):
                        text += chunk
            return r.returncode, text.decode(errors="replace"), log.read_text(errors="replace")
        finally:
            console.close()
            self.runc("delete", "--force", name)

    def assert_terminal_or_words(self, result):
        code, text, log = result
        if code:
            self.assertIn("error", log)
        else:
            self.assertIn("on a terminal\r\n", text)

    def foreign(self):
        """What the image may put in the place of ptmx: kind, and how."""
        yield "nothing", lambda p: None
        yield "file", lambda p: p.write_text("secret\n")
        yield "folder", lambda p: p.mkdir()
        yield "fifo", os.mkfifo
        yield "other device", lambda p: os.mknod(p, stat.S_IFCHR | 0o666, os.makedev(10, 229))
        yield "link to the host", lambda p: p.symlink_to(self.host / "file")
        yield "link to a file", lambda p: p.symlink_to("/etc/inside")
        yield "the real numbers, on no devpts", lambda p: os.mknod(p, stat.S_IFCHR | 0o666, os.makedev(5, 2))

    def test_a_foreign_ptmx(self):
        """runc, with CVE-2025-52565: looked at before it is opened, and never waited for.

        Behind the look at the file system stand the ioctls, which nothing but a terminal answers: to switch
        off one of the two does not show here."""
        for kind, make in self.foreign():
            with self.subTest(kind):
                config = self.without_devpts("/bin/sh", "-c", "test -t 0 && echo on a terminal")
                ptmx = self.rootfs / "dev" / "pts" / "ptmx"
                make(ptmx)
                self.assert_terminal_or_words(self.run_on_terminal(config))
                if ptmx.is_symlink() or not ptmx.is_dir():
                    ptmx.unlink(missing_ok=True)
                else:
                    ptmx.rmdir()

    def test_a_foreign_ptmx_at_exec(self):
        """The same for a container that is there: it has all the time to prepare one."""
        config = self.without_devpts("/bin/sleep", "1000")
        config["process"]["terminal"] = False
        with self.running(config) as name:
            for kind, make in self.foreign():
                with self.subTest(kind):
                    ptmx = self.rootfs / "dev" / "pts" / "ptmx"
                    make(ptmx)
                    path = self.scratch.path / f"exec-{kind.replace(' ', '-')[:20]}"
                    console = attack.ConsoleSocket(path)
                    try:
                        r = self.runc("exec", "--tty", "--detach", "--console-socket", path, name, "/bin/true")
                        if r.returncode:
                            self.assertIn("error", r.stderr)
                    finally:
                        console.close()
                    if ptmx.is_symlink() or not ptmx.is_dir():
                        ptmx.unlink(missing_ok=True)
                    else:
                        ptmx.rmdir()

    def test_slaves_that_are_links(self):
        """CVE-2025-52565, CVE-2025-62161: what is bound over /dev/console is the slave, not its name.

        Here nothing looks the slave's name up: TIOCGPTPEER gives it, and it is checked to be on a devpts."""
        os.mknod(self.rootfs / "dev" / "pts-ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
        (self.rootfs / "secret").write_text("not for you\n")
        config = self.without_devpts("/bin/sh", "-c", "test -f /dev/console && cat /dev/console; echo on a terminal")
        for n in range(64):
            (self.rootfs / "dev" / "pts" / str(n)).symlink_to("/secret")
        (self.rootfs / "dev" / "pts" / "ptmx").symlink_to("../pts-ptmx")
        result = self.run_on_terminal(config)
        self.assert_terminal_or_words(result)
        self.assertNotIn("not for you", result[1])

    def test_console_that_is_there(self):
        """CVE-2026-88264: a file of the image's is covered, a link refused or covered, never followed."""
        for make in (lambda p: p.write_text("the image's\n"), lambda p: p.symlink_to(self.host / "file"),
                     lambda p: p.symlink_to("/nowhere"), os.mkfifo):
            config = self.config("/bin/sh", "-c", "echo on a terminal")
            config["process"]["terminal"] = True
            config["root"]["readonly"] = False
            # /dev is a volume of the attacker's
            volume = self.scratch.path / "dev"
            volume.mkdir(exist_ok=True)
            make(volume / "console")
            for m in config["mounts"]:
                if m["destination"] == "/dev":
                    m.update(type="bind", source=str(volume), options=["bind"])
            self.assert_terminal_or_words(self.run_on_terminal(config))
            (volume / "console").unlink()


if __name__ == "__main__":
    unittest.main()

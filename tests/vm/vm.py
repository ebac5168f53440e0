"""A virtual machine that runs test scripts: pure cgroup v2 with all controllers, AppArmor, systemd.

The machine is qemu's emulation (no KVM needed) with Debian's kernel.  It boots from an initramfs
that holds our static programs, a rootfs for containers and guest/; its /init goes on from a tmpfs,
or, with a disk, hands over to that system's own init, whose service casco-tests runs the scripts.
A script's tests are its functions test_*.  Each test's result comes back as a line on the second
serial port, the kernel's and systemd's own words go to the first:

    ok NAME SECONDS | skip NAME REASON | FAIL NAME, followed by lines "| output" | end

and VmTest makes each of them a unittest result of its own."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import images
from casco import SHARE, program

HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE / "guest"
STOOD_STILL = "soft lockup"  # what the kernel says of a processor that does nothing else
BOOT_TIMEOUT = 240  # seconds for a whole machine: it runs some 20 times slower than the host
APPLETS = "sh cat echo id ls sleep true false test mount grep env kill ps head dd mkdir touch mknod tail seq".split()


def payload(scripts, programs, modules, more):
    """What /casco is in the machine; `more` is a name in it to a file of ours, or to bytes."""
    c = images.Cpio()
    c.file("bin/busybox", "/bin/busybox")
    c.file("init", GUEST / "init")
    for folder in ("proc", "sys", "dev", "run", "tmp", "new"):
        c.folder(folder)
    for name in programs:
        source = program(name)
        if not os.path.exists(source):
            raise images.Missing(f"{source} is not built")
        c.file(f"casco/bin/{name}", source)
    if "containerd" in programs:
        c.file("casco/share/busybox.tar", SHARE / "busybox.tar")
    for name, source in {"run-tests": GUEST / "run-tests", "lib.sh": GUEST / "lib.sh", **more}.items():
        if isinstance(source, bytes):
            c.bytes(f"casco/{name}", source)
        else:
            c.file(f"casco/{name}", source)
    c.bytes("casco/apparmor.bin", images.apparmor_profile().read_bytes())
    for script in [*scripts, *(p.name for p in GUEST.glob("*.inc"))]:
        c.file(f"casco/tests/{script}", GUEST / script)
    c.file("casco/rootfs/bin/busybox", "/bin/busybox")
    for name in APPLETS:
        c.link(f"casco/rootfs/bin/{name}", "busybox")
    for folder in ("proc", "sys", "dev", "tmp"):
        c.folder(f"casco/rootfs/{folder}")
    c.bytes("casco/rootfs/etc/passwd", b"root:x:0:0::/:/bin/sh\n")
    for module in sorted((images.kernel(modules) / "modules").iterdir()):
        c.file(f"modules/{module.name}", module)
    return c.done()


class Machine:
    """One boot, from power on to power off.  `drives` come after the disk, `more` files into /casco."""

    def __init__(self, scripts, programs=("runc",), disk=None, append="", memory=640, drives=(), modules=(), more=None,
                 processors=2, cpu="max"):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="casco-vm-"))
        try:
            if not shutil.which("qemu-system-x86_64"):
                raise images.Missing("qemu-system-x86_64 is not installed")
            (self.scratch / "initrd").write_bytes(payload(scripts, programs, modules, more or {}))
            self.command = self.qemu([disk] if disk else [], drives, append, memory, processors, cpu)
        except BaseException:
            self.remove()
            raise

    def qemu(self, disks, drives, append, memory, processors, cpu):
        for name in ("data", "console", "results"):
            (self.scratch / name).touch()
        os.truncate(self.scratch / "data", 64 << 20)  # /dev/vda: a device to limit
        words = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", cpu, "-smp", processors, "-m", memory,
                 "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-kernel", images.kernel() / "vmlinuz", "-initrd", self.scratch / "initrd",
                 "-append", f"console=ttyS0 quiet panic=-1 no_timer_check {'casco.disk' if disks else ''} {append}",
                 "-serial", f"file:{self.scratch}/console", "-serial", f"file:{self.scratch}/results"]
        for d in (self.scratch / "data", *disks, *drives):
            words += ["-drive", f"file={d},if=virtio,format=raw,snapshot=on"]
        return [str(w) for w in words]

    def run(self, timeout=BOOT_TIMEOUT, is_last=True):
        """The lines of the second serial port.  A machine that ends without `end` says why below them."""
        with open(self.scratch / "qemu", "w") as said, subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=said,
                                                                        stderr=said) as qemu:
            end, why = time.monotonic() + timeout, ""
            while not why:
                try:
                    why = f"qemu ended with {qemu.wait(2)}: {(self.scratch / 'qemu').read_text(errors='replace')}"
                except subprocess.TimeoutExpired:
                    if time.monotonic() > end:
                        why = f"the machine was still running after {timeout} s"
                    elif not is_last and (self.scratch / "console").read_text(errors="replace").count(STOOD_STILL) > 1:
                        why = "the machine stood still"
            qemu.kill()
        lines = (self.scratch / "results").read_text(errors="replace").replace("\r", "").splitlines()
        console = (self.scratch / "console").read_text(errors="replace").replace("\r", "")
        return lines, f"{why}\nthe machine's console ended with:\n{console[-3000:]}"

    def remove(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


def parse(lines):
    """{test: (word, detail)} and whether the end was reached."""
    results, last = {}, None
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("ok", "skip", "FAIL"):
            name, _, detail = rest.partition(" ")
            before = results.get(name, ("", ""))[1]  # a second word is about what it left behind
            results[name] = [word, f"{before}\n{detail}" if before and word == "FAIL" else detail]
            last = name
        elif word == "|" and last:
            results[last][1] += "\n" + rest
    return results, "end" in lines


def tests_of(script):
    return re.findall(r"^(test_\w+)\(\)", (GUEST / script).read_text(), re.M)


class VmTest(unittest.TestCase):
    """A class that names `scripts` gets one method for each of their tests; the machine boots once."""
    scripts = ()
    options = {}
    has_disk = False
    boot_timeout = BOOT_TIMEOUT

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        for script in cls.scripts:
            for name in tests_of(script):
                if hasattr(cls, name):
                    raise TypeError(f"{name} is there twice")
                setattr(cls, name, cls.method(name))

    @classmethod
    def drives(cls):
        """More disks, made before the machine is."""
        return []

    @staticmethod
    def method(name):
        def test(self):
            if name not in self.results:
                self.fail(f"no result from the machine. {self.why}")
            word, detail = self.results[name]
            if word == "skip":
                self.skipTest(detail)
            if word != "ok":
                self.fail(detail)
        test.__name__ = name
        return test

    @classmethod
    def setUpClass(cls):
        if os.uname().machine != "x86_64":
            raise unittest.SkipTest("the machine's images are for x86_64")
        for attempt in range(2):
            try:
                disk = images.disk() if cls.has_disk else None
                machine = Machine(cls.scripts, disk=disk, drives=cls.drives(), **cls.options)
            except images.Missing as e:
                raise unittest.SkipTest(str(e)) from e
            try:
                lines, cls.why = machine.run(cls.boot_timeout, is_last=bool(attempt))
                cls.results, ended = parse(lines)
                if ended:
                    cls.why = "the scripts ended without it"
                if os.environ.get("CASCO_VM_VERBOSE"):
                    print("\n".join(lines), cls.why, sep="\n")
            finally:
                machine.remove()
            # An emulated machine with two processors may lose a timer and stand still; its kernel says so.
            if ended or attempt or STOOD_STILL not in cls.why:
                return
            print("the machine stood still, once more", flush=True)

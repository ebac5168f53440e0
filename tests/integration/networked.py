"""What the tests of containers in networks share: a namespace of their own (import setUpModule and tearDownModule, too), containers
that serve a page, and the claim that nothing is left of any network after each test."""
import json
import os
import shutil
import subprocess
import time
import unittest

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch
from netspace import PLUGINS, Netspace, bridge_list, leftovers, remove_bridges, wipe, write_conf

space = None


def setUpModule():
    global space
    if not (PLUGINS / "bridge").exists():
        raise unittest.SkipTest("containernetworking-plugins is not installed")
    space = Netspace()
    space.outside()


def tearDownModule():
    space.leave()


def fetch(address, port, outside=False, tries=30):
    """What a web server answers; "" when it does not.  It may have just been started."""
    for _ in range(tries):
        text = fetch_once(address, port, outside)
        if text:
            break
        time.sleep(0.1)
    return text


def fetch_once(address, port, outside):
    where = ("ip", "netns", "exec", "outside") if outside else ()
    host = f"[{address}]" if ":" in address else address
    r = subprocess.run([*where, "timeout", "3", "busybox", "wget", "-qO-", f"http://{host}:{port}/"], capture_output=True, text=True, check=False)
    return r.stdout


SERVE = "mkdir -p /w; echo $HOSTNAME_SHOWN > /w/index.html; exec httpd -f -p 80 -h /w"


class NetworkTest(DaemonTest):
    builtin = False
    config = CONFIG + "\n[plugins.'io.containerd.internal.v1.restart']\n  interval = '300ms'\n"

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, config=cls.config)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")
        cls.addClassCleanup(remove_bridges)
        write_conf("10-test.conflist", bridge_list(builtin=cls.builtin))
        cls.addClassCleanup(shutil.rmtree, "/etc/cni/net.d", ignore_errors=True)

    def setUp(self):
        os.makedirs("/etc/cni/net.d", exist_ok=True)

    def tearDown(self):
        for c in self.ctr("containers", "list", "-q", check=False).stdout.split():
            self.ctr("containers", "label", c, "containerd.io/restart.status=", check=False)
        super().tearDown()
        self.assert_clean()

    def assert_clean(self):
        end = time.monotonic() + 8
        left = leftovers(self.daemon.root)
        while left and time.monotonic() < end:
            time.sleep(0.1)
            left = leftovers(self.daemon.root)
        if left:
            wipe()
        self.assertEqual(left, [])

    def serve(self, name, *more, text=None):
        self.running("--env", f"HOSTNAME_SHOWN={text or name}", *more, name=name, command=("sh", "-c", SERVE))
        return name

    def record(self, name):
        return json.loads(self.ctr("inspect", name, "Network").stdout)

    def address(self, name, i=0):
        return self.record(name)["Attachments"][0]["result"]["ips"][i]["address"].split("/")[0]

"""A network and mount namespace for a test module, so that bridges, rules and /etc/cni are its own; and a
look at what networking leaves behind."""
import ctypes
import json
import os
import pathlib
import socket
import struct
import subprocess

CLONE_NEWNS, CLONE_NEWNET, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 0x4000, 1 << 18
PLUGINS = pathlib.Path("/usr/lib/cni")
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def sh(*command, check=True, err=False):
    r = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and r.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stderr if err else r.stdout


class Netspace:
    """Enters namespaces of its own, with lo up and empty /etc/cni/net.d, /var/lib/cni, /opt and /run/netns; leave() goes back."""

    def __init__(self):
        self.old = [os.open(f"/proc/thread-self/ns/{n}", os.O_RDONLY | os.O_CLOEXEC) for n in ("net", "mnt")]
        call("unshare", CLONE_NEWNS | CLONE_NEWNET)
        call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        for path in ("/etc/cni/net.d", "/var/lib/cni", "/opt", "/run/netns"):
            os.makedirs(path, exist_ok=True)
            sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        os.makedirs("/opt/cni")
        os.symlink(PLUGINS, "/opt/cni/bin")
        sh("ip", "link", "set", "lo", "up")

    def leave(self):
        for fd, kind in zip(self.old, (CLONE_NEWNET, CLONE_NEWNS)):
            call("setns", fd, kind)
            os.close(fd)

    def outside(self, name="outside", host="192.0.2.1", peer="192.0.2.2"):
        """A neighbour of the host: a namespace behind a cable, which knows no other way than the host."""
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", f"up-{name}", "type", "veth", "peer", "name", "cable", "netns", name)
        sh("ip", "addr", "add", f"{host}/24", "dev", f"up-{name}")
        sh("ip", "link", "set", f"up-{name}", "up")
        for words in (("addr", "add", f"{peer}/24", "dev", "cable"), ("link", "set", "cable", "up"), ("link", "set", "lo", "up"),
                      ("route", "add", "default", "via", host)):
            sh("ip", "-n", name, *words)
        return name


def write_conf(name, text):
    pathlib.Path("/etc/cni/net.d", name).write_text(text if isinstance(text, str) else json.dumps(text))


def bridge_list(name="test", bridge="tbr0", subnets=("10.97.0.0/24",), version="1.0.0", more=(), builtin=False, **members):
    """What an operator's configuration list looks like; rules by the iptables of the plugins, or by the built-in network."""
    routes = [{"dst": "::/0" if ":" in s else "0.0.0.0/0"} for s in subnets]
    return {"cniVersion": version, "name": name, **({"casco.builtin": True} if builtin else {}), "plugins": [
        {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "capabilities": {"ips": True, "mac": True},
         "ipam": {"type": "host-local", "ranges": [[{"subnet": s}] for s in subnets], "routes": routes}, **members},
        {"type": "portmap", "capabilities": {"portMappings": True}}, *more]}


# --- the built-in network's table, by netlink ---

SETS = {"masq4": (0, 4, 0), "masq6": (0, 16, 0), "any4": (1, 0, 2), "any6": (1, 0, 2), "ports4": (1, 4, 2), "ports6": (1, 16, 2)}


def attribute(kind, data):
    raw = struct.pack("=HH", 4 + len(data), kind) + data
    return raw + b"\0" * (-len(raw) % 4)


def attributes(data):
    while len(data) >= 4:
        n, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:n]
        data = data[(n + 3) & ~3:]


def netfilter(kind, flags, payload, family=1):
    """One request to nf_tables; the messages of the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        body = struct.pack("=BBH", family, 0, 0) + payload
        s.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, flags, 1, 0) + body)
        while True:
            data = s.recv(1 << 20)
            while len(data) >= 16:
                n, t, _, _, _ = struct.unpack_from("=IHHII", data)
                if t in (2, 3):  # an error, or the end
                    return
                yield data[20:n]
                data = data[(n + 3) & ~3:]


def elements(name):
    """Keys of a set of the table casco: (protocol, address, port), as far as its keys have them."""
    protocol, address, port = SETS[name]
    found = []
    for message in netfilter(13, 0x301, attribute(1, b"casco\0") + attribute(2, name.encode() + b"\0")):
        for kind, items in attributes(message):
            if kind != 3:
                continue
            for _, item in attributes(items):
                key = dict(attributes(dict(attributes(item))[1]))[1]
                at = 4 if protocol else 0
                text = [str(key[0])] if protocol else []
                if address:
                    text.append(socket.inet_ntop(socket.AF_INET if address == 4 else socket.AF_INET6, key[at:at + address]))
                if port:
                    text.append(str(struct.unpack_from(">H", key, at + address)[0]))
                found.append(" ".join(text))
    return found


def drop_table():
    """As `nft delete table inet casco`."""
    take_away(2)


def flush_rules():
    """As `nft flush table inet casco`: the table and its sets stay."""
    take_away(8)


def take_away(kind):
    begin = struct.pack("=IHHIIBBH", 20, 16, 1, 0, 0, 0, 0, socket.htons(10))
    end = struct.pack("=IHHIIBBH", 20, 17, 1, 0, 0, 0, 0, socket.htons(10))
    body = struct.pack("=BBH", 1, 0, 0) + attribute(1, b"casco\0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        s.send(begin + struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, 1, 1, 0) + body + end)


def leftovers(root):
    """Everything that an attached container has and a detached one must not have."""
    found = [f"interface {line.split()[1]}" for line in sh("ip", "-o", "link", "show", "type", "veth").splitlines() if "up-" not in line]
    for rules in ("iptables-save", "ip6tables-save"):
        found += [f"rule {line}" for line in sh(rules).splitlines() if line.startswith("-A") and ("CNI-DN" in line or " id: " in line)]
    with open("/proc/self/mountinfo") as f:
        found += [f"mount {line.split()[4]}" for line in f if " nsfs " in line and "io.casco.network" in line]
    found += [f"file {p}" for p in pathlib.Path("/var/lib/cni/results").glob("*")]
    found += [f"address {p}" for p in pathlib.Path("/var/lib/cni/networks").glob("*/*") if p.name[0].isdigit() or ":" in p.name]
    found += [f"element {name} {key}" for name in SETS for key in elements(name)]
    found += [f"folder {p}" for p in pathlib.Path(root, "io.casco.network").glob("*/*")]
    return found


def remove_bridges():
    for line in sh("ip", "-o", "link", "show", "type", "bridge").splitlines():
        sh("ip", "link", "del", line.split()[1].rstrip(":"))


def wipe():
    """Takes what a failed test left, so that one failure stays one failure."""
    for tables in ("iptables", "ip6tables"):
        for words in (("-F",), ("-X",)):
            sh(tables, "-t", "nat", *words, check=False)
    for line in sh("ip", "-o", "link", "show", "type", "veth").splitlines():
        name = line.split()[1].partition("@")[0].rstrip(":")
        if not name.startswith("up-"):
            sh("ip", "link", "del", name, check=False)
    drop_table()
    for p in (*pathlib.Path("/var/lib/cni/results").glob("*"), *pathlib.Path("/var/lib/cni/networks").glob("*/*")):
        p.unlink()

"""The layouts of runc_bats.py in which an unprivileged user runs the suite.

A layout `hybrid-rootless-idmap-cgroup` is the suite's own tests/rootless.sh for one set of its features: with
`idmap` the user has newuidmap, newgidmap and ids of its own below /etc/subuid and /etc/subgid, with `cgroup`
it owns what the suite names its cgroups by, and without either none of these.

The user is in the file's mount namespace only, which has an /etc/passwd of its own: nothing of the machine is
changed but the cgroups, and those for as long as the file runs.  The suite and the runtime are at a place
there that the user can reach."""
import contextlib
import itertools
import os
import pathlib
import pwd

FEATURES = ("idmap", "cgroup")
SETS = [[f for f, on in zip(FEATURES, chosen) if on] for chosen in itertools.product((False, True), repeat=len(FEATURES))]
LAYOUTS = {"-".join([base, "rootless", *chosen]): (base, chosen) for base in ("hybrid", "cgroup2") for chosen in SETS}
NAME = "rootless"  # the suite says so, too
GROUP = "/runc-cgroups-integration-test"  # the parent that the suite gives its containers
UID_START, GID_START, LENGTH = 100000, 200000, 65536
AUX_UID = 1024  # of a folder's owner in a container; the suite maps its ids from 1000 on to the user's first
AUX_HOST_UID = UID_START - 1000 + AUX_UID

# Goes before the bats command, as root.
WITHIN = """
for f in passwd group subuid subgid; do [ -e /etc/$f ] || : >/etc/$f; mount --bind "$PLACE/etc/$f" /etc/$f; done
mount --bind "$PLACE/suite" "$PLACE/suite" && mount --bind "$SOURCE" "$PLACE/suite"
mount --bind "$RUNTIME" "$RUNC"
case $ROOTLESS_FEATURES in
*idmap*) ;;
*) for f in newuidmap newgidmap; do ! f=$(command -v $f) || mount --bind /dev/null "$f"; done ;;
esac
chown "$USER" "$(tty)"
"""
PREFIX = 'setpriv --reuid="$USER" --regid="$USER" --clear-groups --inh-caps=-all '


def free_id():
    """No user of this machine: its processes would count for the limits of the suite's."""
    taken = {p.pw_uid for p in pwd.getpwall()}
    return next(i for i in itertools.count(2000) if i not in taken)


def is_cgroup2(folder):
    return (folder / "cgroup.controllers").exists()


def delegate_v1(user):
    """The folder and who is in it, and of cpuset and cpu what a runtime must fill in before anyone may enter."""
    for top in pathlib.Path("/sys/fs/cgroup").iterdir():
        if is_cgroup2(top) or top.is_symlink() or not os.path.ismount(top):
            continue
        folder = pathlib.Path(f"{top}{GROUP}")
        folder.mkdir(exist_ok=True)
        for name in (".", "cgroup.procs", "tasks"):
            os.chown(folder / name, 0, user)
            os.chmod(folder / name, 0o775)
        for name in ("cpuset.cpus", "cpuset.mems", "cpu.rt_period_us", "cpu.rt_runtime_us"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(folder / name, user, user)


def unified():
    """Where this machine has its cgroup2 hierarchy, which a file's namespaces show alone."""
    tops = (pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/unified"))
    return next((t for t in tops if is_cgroup2(t)), None)


def delegate_v2(user):
    """The folder, and the root's list of processes: who moves one needs write access to where both places meet."""
    top = unified()
    for controller in (top / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):  # a root that has processes and is not the machine's
            (top / "cgroup.subtree_control").write_text(f"+{controller}")
    folder = pathlib.Path(f"{top}{GROUP}")
    folder.mkdir(exist_ok=True)
    for path in (folder, folder / "cgroup.subtree_control", folder / "cgroup.procs", top / "cgroup.procs"):
        os.chown(path, 0, user)
        os.chmod(path, 0o775 if path == folder else 0o664)


@contextlib.contextmanager
def delegated(base, user):
    """The cgroups themselves are removed with the others that bear the suite's names."""
    top = unified()
    if base == "hybrid":
        delegate_v1(user)
    elif top:
        before = (top / "cgroup.subtree_control").read_text().split()
        delegate_v2(user)
    try:
        yield
    finally:
        if base != "hybrid" and top:
            os.chown(top / "cgroup.procs", 0, 0)
            os.chmod(top / "cgroup.procs", 0o644)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(f"{top}{GROUP}")
            for controller in set((top / "cgroup.subtree_control").read_text().split()) - set(before):
                with contextlib.suppress(OSError):  # still in use below
                    (top / "cgroup.subtree_control").write_text(f"-{controller}")


def etc(place, user, has_ids):
    """The files of the user's namespace."""
    place.mkdir()
    for name, line in (("passwd", f"{NAME}:x:{user}:{user}::{place.parent}/home:/bin/sh\n"), ("group", f"{NAME}:x:{user}:\n")):
        (place / name).write_text(pathlib.Path("/etc", name).read_text() + line)
    for name, start in (("subuid", UID_START), ("subgid", GID_START)):
        (place / name).write_text(f"{NAME}:{start}:{LENGTH}\n" if has_ids else "")


def ids_env(aux):
    """What the suite is told of the user's ids; the last two were called otherwise before 1.3."""
    return {"ROOTLESS_UIDMAP_START": str(UID_START), "ROOTLESS_UIDMAP_LENGTH": str(LENGTH),
            "ROOTLESS_GIDMAP_START": str(GID_START), "ROOTLESS_GIDMAP_LENGTH": str(LENGTH),
            **{f"{prefix}AUX_UID": str(AUX_UID) for prefix in ("", "ROOTLESS_")},
            **{f"{prefix}AUX_DIR": aux for prefix in ("", "ROOTLESS_")}}


@contextlib.contextmanager
def ready(layout, place, path, env):
    """The bats file's path and the environment for WITHIN and the user, below `place`, an empty folder."""
    place = pathlib.Path(place)
    base, features = LAYOUTS[layout]
    user = free_id()
    etc(place / "etc", user, "idmap" in features)
    (place / "suite").mkdir()
    (place / "runc").touch()
    for name in ("home", "tmp"):
        (place / name).mkdir()
        os.chmod(place / name, 0o711)
        os.chown(place / name, user, user)
    source = path.parent.parent.parent
    env = dict(env, LAYOUT=base, PLACE=str(place), USER=str(user), SOURCE=str(source), RUNTIME=env["RUNC"], RUNC=f"{place}/runc",
               HOME=f"{place}/home", TMPDIR=f"{place}/tmp", ROOTLESS_FEATURES="+".join(features))
    if "idmap" in features:
        (place / "aux").mkdir(0o700)
        os.chown(place / "aux", AUX_HOST_UID, 0)
        env.update(ids_env(f"{place}/aux"))
    with delegated(base, user) if "cgroup" in features else contextlib.nullcontext():
        yield place / "suite" / path.relative_to(source), env

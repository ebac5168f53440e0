"""Every command and option of containerd's ctr is one of ours: of 2.1 by a list of what its help says, of
Debian's by its own help."""
import pathlib
import re
import unittest

from casco import BIN, run

# What is known to be absent, or to come: nothing else may be.
ABSENT_COMMANDS = set()
ABSENT_OPTIONS = {}
OPTION = re.compile(r"(?:^|, )(--?[A-Za-z0-9-]+)")


def help_of(program, path):
    """The commands (with their aliases) and the options of a help text."""
    commands, options, section = [], set(), ""
    for line in run([program, *path, "--help"]).stdout.splitlines():
        if re.match(r"[A-Z ]+:", line):
            section = line
        elif not re.match(r"   \S", line):
            continue
        elif section == "COMMANDS:":
            commands.append([n.strip() for n in line.strip().split("  ")[0].split(",")])
        elif "OPTIONS" in section and line.startswith("   -"):
            options |= set(OPTION.findall(re.split(r"  +|\t", line.strip())[0]))
    return [c for c in commands if c[0] != "help" and not c[0].endswith(":")], options - {"--help", "-h"}


def walk(program, path=()):
    """{path: ({name: aliases}, options)} down to the leaves."""
    commands, options = help_of(program, path)
    found = {" ".join(path): ({c[0]: set(c) for c in commands}, options)}
    for c in commands:
        if c[0] != "pprof":  # is about a Go program
            found.update(walk(program, (*path, c[0])))
    return found


def checked_in():
    found = {}
    for line in (pathlib.Path(__file__).parent / "ctr_2_1.txt").read_text().splitlines():
        if not line.startswith("#"):
            path, commands, options = [f.strip() for f in (line + " | |").split("|")[:3]]
            names = {c.split(",")[0]: set(c.split(",")) for c in commands.split()}
            found["" if path == "." else path] = names, {o for f in options.split() for o in f.split(",")}
    return found


def is_absent(path):
    return any(path == c or path.startswith(c + " ") for c in ABSENT_COMMANDS)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ours = walk(BIN / "ctr")

    def compare(self, theirs):
        wrong = []
        for path, (commands, options) in theirs.items():
            if path not in self.ours:
                wrong += [] if is_absent(path) else [f"no command \"{path}\""]
                continue
            for name, aliases in commands.items():
                have = self.ours[path][0].get(name)
                if have and aliases - have:
                    wrong.append(f"{path} {name}: without its aliases {sorted(aliases - have)}")
            missing = options - self.ours[path][1] - ABSENT_OPTIONS.get(path, set())
            wrong += [f"{path}: {o} is there, and listed as absent" for o in ABSENT_OPTIONS.get(path, set()) & self.ours[path][1]]
            if missing:
                wrong.append(f"{path}: without {sorted(missing)}")
        self.assertEqual(wrong, [])

    def test_of_2_1(self):
        theirs = checked_in()
        self.assertGreater(len(theirs), 70)
        self.compare(theirs)

    @unittest.skipUnless(pathlib.Path("/usr/bin/ctr").exists(), "Debian's ctr is not installed")
    def test_of_debians(self):
        theirs = walk("/usr/bin/ctr")
        self.assertGreater(len(theirs), 60)
        theirs["content fetch"][1].discard("--all-metadata")  # of 1.6: the default now
        self.compare(theirs)

    def test_nothing_that_is_refused(self):
        """Of images, content and their like no option is only there to be refused."""
        for path in self.ours:
            if path.split(" ")[0] in ("images", "content", "install", "leases", "namespaces", "plugins", "events"):
                self.assertNotIn("not supported", run([BIN / "ctr", *path.split(), "--help"]).stdout)

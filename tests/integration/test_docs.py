"""What the documents say is there, and what is there is in the documents."""
import re
import unittest

from casco import BIN, TOP, run

FLAG = re.compile(r"`(--[a-z][-a-z0-9]+)")
# of a help text: the options' own lines, not what their descriptions mention
OPTION = re.compile(r"^ +(--[a-z][-a-z0-9]*)", re.M)
COMMAND = re.compile(r"^   ([a-z]+)[, ]", re.M)


def help_of(program, *words):
    return run([BIN / program, *words, "--help"]).stdout


def commands(text):
    """Of a help text; all names of each come first, the first one is enough."""
    section = text.split("COMMANDS:\n", 1)[1].split("\n\n")[0] if "COMMANDS:" in text else ""
    return [c for c in COMMAND.findall(section) if c != "help"]


def options(program, depth):
    found, todo = set(), [()]
    while todo:
        words = todo.pop()
        text = help_of(program, *words)
        found |= set(OPTION.findall(text))
        if len(words) < depth:
            todo += [(*words, c) for c in commands(text)]
    return found


def page(name):
    return (TOP / "docs/man" / f"{name}.8.md").read_text()


class ManPages(unittest.TestCase):
    def test_runc(self):
        have = options("runc", 1)
        self.assertIn("--console-socket", have)
        named = set(FLAG.findall(page("runc")))
        self.assertEqual(have - named, set())
        # options of old callers: taken, but in no help text, as in the original
        self.assertEqual(named - have, {"--all", "--criu"})
        for words in (("kill", "--all", "--not-there"), ("--criu", "x", "--not-there")):
            r = run([BIN / "runc", *words], check=False)
            self.assertIn("flag provided but not defined: -not-there", r.stderr)

    def test_runc_commands(self):
        for c in commands(help_of("runc")):
            self.assertIn(f"**{c}**", page("runc"))

    def test_containerd(self):
        self.assertEqual(options("containerd", 0), set(FLAG.findall(page("containerd"))) | {"--help"})

    def test_ctr(self):
        """The page shows the most used options only; each of them exists."""
        have = options("ctr", 2)
        self.assertIn("--memory-limit", have)
        self.assertEqual(set(FLAG.findall(page("ctr"))) - have, set())

    def test_ctr_commands(self):
        for c in commands(help_of("ctr")):
            self.assertIn(f"`{c}`", page("ctr"))
            for sub in commands(help_of("ctr", c)):
                if c in ("images", "containers", "tasks"):
                    self.assertIn(f"`{sub}`", page("ctr"))


class Library(unittest.TestCase):
    """The page of libcasco-runtime and the header that is installed with it: tools/mklib.sh copies it from here."""

    def setUp(self):
        headers = re.search(r'^headers="(.*)"$', (TOP / "tools/mklib.sh").read_text(), re.M)[1].split()
        self.assertEqual(headers[0], "runtime/runtime.h")
        text = (TOP / "src" / headers[0]).read_text()
        self.calls = set(re.findall(r"^[a-z][\w *]*[ *](runtime_\w+)[(\[]", text, re.M))
        self.types = set(re.findall(r"\b((?:struct|enum) runtime\w*)\b", text))
        self.page = (TOP / "docs/man/libcasco-runtime.3.md").read_text()
        self.others = "".join((TOP / "src" / h).read_text() for h in headers)

    def test_every_call_is_named(self):
        self.assertIn("runtime_end_expect", self.calls)
        self.assertGreater(len(self.calls), 20)
        named = set(re.findall(r"`(runtime_\w+)`", self.page))
        self.assertEqual(named, self.calls)

    def test_every_type_is_named(self):
        self.assertIn("enum runtime_status", self.types)
        self.assertIn("struct runtime_end", self.types)
        named = set(re.findall(r"`((?:struct|enum) runtime\w*)`", self.page))
        self.assertEqual(named, self.types)

    def test_the_example_uses_what_there_is(self):
        example = self.page.split("## Example")[1].split("## Files")[0]
        used = set(re.findall(r"\b(?:runtime_\w+|AUTO_\w+|RUNTIME_\w+|arena_\w+)\b", example))
        self.assertIn("runtime_run", used)
        self.assertEqual({u for u in used if not re.search(rf"\b{u}\b", self.others)}, set())


class Paths(unittest.TestCase):
    def test_files_that_are_named_exist(self):
        for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/threading.md"):
            for path in re.findall(r"`([a-z_]+/[A-Za-z0-9_/.-]+)`", (TOP / name).read_text()):
                if not path.startswith("build/"):
                    self.assertTrue((TOP / path).exists() or (TOP / "src" / path).exists(), f"{name}: {path}")


if __name__ == "__main__":
    unittest.main()

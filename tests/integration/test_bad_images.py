"""Registries that fail, lie or attack, layers that try to get out, disks that are full: each is a clear
error in bounded time, and nothing is left behind: no process, mount, snapshot, content or ingest."""
import contextlib
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
import unittest

from casco import Daemon, DaemonTest, Scratch, wait_for
from registry import busybox_layer, layer
from stub_registry import INDEX, MANIFEST, Stub


def tar_entry(name, kind=tarfile.REGTYPE, link="", data=None, mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = len(data) if data is not None else 0
    return info, data


def blobs_below(root):
    content = root / "io.containerd.content.v1.content"
    return sorted(str(p.relative_to(content)) for p in content.rglob("*")
                  if p.is_file() and ("blobs" in p.parts or "ingest" in p.parts))


def children(pid):
    """Workers are the daemon's only children: shims leave it."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        found = f.read().split()
    for task in os.listdir(f"/proc/{pid}/task"):  # a child belongs to the thread that made it
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            found += f.read().split()
    return sorted(set(found))


class BadImages(DaemonTest):
    images = False
    # after each deletion: else a disk that is slow for once makes the pause between collections longer than anybody waits here
    settings = "\n[plugins.'io.containerd.gc.v1.scheduler']\n  deletion_threshold = 1\n"

    def setUp(self):
        self.stub = Stub()
        self.addCleanup(self.stub.stop)
        self.outside = self.scratch.path / "outside"
        self.outside.mkdir(exist_ok=True)
        (self.outside / "sentinel").write_text("untouched\n")
        os.chmod(self.outside / "sentinel", 0o640)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(os.listdir(self.outside), ["sentinel"])
        self.assertEqual((self.outside / "sentinel").read_text(), "untouched\n")
        self.assertEqual(os.stat(self.outside / "sentinel").st_mode & 0o7777, 0o640)
        self.ctr("images", "remove", "--sync", self.stub.reference, check=False)
        self.nothing_is_left()

    def nothing_is_left(self):
        self.assertEqual(self.ctr("images", "list", "-q").stdout, "")
        wait_for("the end of the workers", lambda: children(self.daemon.process.pid) == [], 5)
        wait_for("the collection of content", lambda: blobs_below(self.daemon.root) == [], 15)
        self.assertEqual(self.ctr("snapshots", "list").stdout.splitlines()[1:], [])

    def pull(self, *flags, **kw):
        return self.ctr("images", "pull", *flags, self.stub.reference, check=False, **kw)

    def fails(self, *texts, flags=()):
        """The pull fails, and says one of the texts."""
        began = time.monotonic()
        r = self.pull(*flags)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertTrue(any(t in r.stderr for t in texts), r.stderr)
        self.assertLess(time.monotonic() - began, 40)
        return r.stderr

    def works(self, *flags):
        r = self.pull(*flags)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r


class Registries(BadImages):
    def setUp(self):
        super().setUp()
        self.stub.image([layer([("a", b"1" * 100000)])])

    def test_it_works_when_nothing_is_wrong(self):
        self.works()

    def test_manifest_with_another_digest(self):
        data, media = self.stub.documents["1"]
        self.stub.rule("/manifests/", lambda h: h.answer(200, data + b" ", {
            "Content-Type": media, "Docker-Content-Digest": self.stub.top}))
        self.fails("unexpected document: got sha256:")

    def test_layer_with_another_digest(self):
        data = self.stub.blobs[self.stub.layer]
        self.stub.blobs[self.stub.layer] = data[:-1] + bytes([data[-1] ^ 1])
        self.fails("digest")

    def test_layer_longer_than_its_descriptor(self):
        self.stub.blobs[self.stub.layer] += b"x" * 100000
        self.fails("size", "more", "larger", "longer")

    def test_layer_shorter_than_its_descriptor(self):
        self.stub.blobs[self.stub.layer] = self.stub.blobs[self.stub.layer][:-10]
        self.fails("10 bytes are missing")

    def test_config_with_another_digest(self):
        self.stub.blobs[self.stub.config] = b" " * len(self.stub.blobs[self.stub.config])
        self.fails("unexpected document: got sha256:")

    def test_it_hangs_up_once_and_the_pull_goes_on_where_it_was(self):
        data = os.urandom(3 << 20)
        self.stub.image([layer([("a", data)])])
        body = self.stub.blobs[self.stub.layer]
        self.stub.rule(self.stub.layer, lambda h: h.cut(body, 1 << 20), times=1)
        self.works()
        ranges = [h.get("Range", "") for m, _, p, h in self.stub.seen if self.stub.layer in p]
        self.assertTrue(any(r.startswith("bytes=") and r != "bytes=0-" for r in ranges), ranges)

    def test_it_always_hangs_up(self):
        body = self.stub.blobs[self.stub.layer]
        self.stub.rule(self.stub.layer, lambda h: h.cut(body, 0))
        self.fails("closed", "early", "EOF", "transfer", "broke", "ended", "partial")

    def test_401(self):
        self.stub.rule("/v2/", lambda h: h.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="r"'}))
        self.fails("wants a user name and a password")

    def test_404(self):
        self.stub.documents = {}
        self.fails(f"{self.stub.reference}: not found")

    def test_429_for_ever(self):
        self.stub.rule("/blobs/", lambda h: h.answer(429, b"{}", {"Retry-After": "0"}))
        self.fails("429")

    def test_429_once(self):
        self.stub.rule("/blobs/", lambda h: h.answer(429, b"{}", {"Retry-After": "1"}), times=1)
        self.works()

    def test_500_for_ever(self):
        self.stub.rule("/v2/", lambda h: h.answer(500, b"{}"))
        self.fails("500")

    def test_500_once(self):
        self.stub.rule("/manifests/", lambda h: h.answer(500, b"{}"), times=1)
        self.works()

    def test_an_answer_is_no_terminal(self):
        """What a registry says is shown without its control characters."""
        self.stub.rule("/v2/", lambda h: h.answer(
            403, json.dumps({"errors": [{"code": "DENIED", "message": "a\x1b[2Jb"}]}).encode()))
        self.assertNotIn("\x1b", self.fails("403"))

    def test_a_document_that_is_manifest_and_index(self):
        m = self.stub.image([layer([("a", b"1")])])
        self.stub.manifest(dict(m, manifests=[]))
        self.fails("manifest and an index")

    def test_a_digest_that_is_a_path(self):
        m = self.stub.image([layer([("a", b"1")])])
        m["layers"][0]["digest"] = "sha256:../../../../etc/passwd"
        self.stub.manifest(m)
        self.fails("invalid digest")

    def test_a_manifest_larger_than_4_mib(self):
        self.stub.manifest(b" " * (5 << 20))
        self.fails("4 MiB", "too large", "larger")

    def test_no_manifest_at_all(self):
        self.stub.manifest(b"<html>")
        self.fails("JSON")

    def test_an_index_of_itself_in_many_levels(self):
        inner = self.stub.add_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX)
        for _ in range(8):
            inner = self.stub.add_document(
                {"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner] * 50}, INDEX)
        data, _ = self.stub.documents[inner["digest"]]
        self.stub.manifest(data, INDEX)
        self.fails("index", "nested", "no match for platform")
        self.assertLess(len(self.stub.seen), 100)

    def test_an_index_that_names_one_child_often(self):
        """CVE-2026-53493: 400 times an index of 400 times an index of 400 times an image is one image."""
        data, _ = self.stub.documents["1"]
        child = {"mediaType": MANIFEST, "digest": self.stub.top, "size": len(data)}
        for _ in range(3):
            child = self.stub.add_document(
                {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child] * 400}, INDEX)
        self.stub.manifest(self.stub.documents[child["digest"]][0], INDEX)
        began = time.monotonic()
        self.works()
        self.assertLess(time.monotonic() - began, 20)
        self.assertLess(len(self.stub.seen), 20)

    def test_an_index_without_our_platform(self):
        m = self.stub.add_document(self.stub.image([layer([("a", b"1")])]), MANIFEST)
        self.stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            dict(m, platform={"os": "plan9", "architecture": "s390x"})]}, INDEX)
        self.fails("platform")


class Credentials(BadImages):
    def setUp(self):
        super().setUp()
        self.stub.image([layer([("a", b"1")])])

    def wants_bearer(self, realm):
        def check(h):
            if h.headers.get("Authorization", "").startswith("Bearer "):
                return self.stub.serve(h)
            return h.answer(401, b"{}", {"WWW-Authenticate":
                                         f'Bearer realm="{realm}",service="s",scope="repository:x:pull"'})
        self.stub.rule("/v2/", check)
        self.stub.rule("/token", lambda h: h.answer(200, b'{"token":"t0k"}'))

    def secrets_seen_by(self, host):
        return [h["Authorization"] for _, to, _, h in self.stub.seen
                if to.startswith(host) and "Authorization" in h]

    def test_token_of_the_same_host(self):
        self.wants_bearer(f"http://{self.stub.host}/token")
        self.works("--user", "me:secret")

    def test_credentials_never_go_to_another_host_for_a_token(self):
        self.wants_bearer(f"http://127.0.0.2:{self.stub.port}/token")
        self.pull("--user", "me:secret")
        self.assertEqual(self.secrets_seen_by("127.0.0.2"), [])

    def test_a_redirect_to_another_host_gets_no_credentials(self):
        self.wants_bearer(f"http://{self.stub.host}/token")
        data = self.stub.blobs[self.stub.layer]
        self.stub.rules.insert(0, [f"/blobs/{self.stub.layer}", None, lambda h: h.answer(
            307, b"", {"Location": f"http://127.0.0.2:{self.stub.port}/elsewhere"})])
        self.stub.rule("/elsewhere", lambda h: self.stub.serve_blob(h, data))
        self.works("--user", "me:secret")
        self.assertEqual(self.secrets_seen_by("127.0.0.2"), [])
        self.assertTrue([p for _, _, p, _ in self.stub.seen if p == "/elsewhere"])

    def test_a_redirect_without_end(self):
        self.stub.rule("/blobs/", lambda h: h.answer(307, b"", {"Location": h.path}))
        self.fails("redirect")
        self.assertLess(len(self.stub.seen), 200)

    def test_a_redirect_to_a_file(self):
        self.stub.rule("/blobs/", lambda h: h.answer(307, b"", {"Location": "file:///etc/passwd"}))
        self.fails("redirect", "scheme", "rotocol")

    def test_errors_hold_no_secret(self):
        self.stub.rule("/v2/", lambda h: h.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="r"'}))
        self.assertNotIn("s3cret", self.fails("401", "denied", "authorization", flags=("--user", "me:s3cret")))
        self.assertNotIn("s3cret", self.daemon.log())


class Layers(BadImages):
    """What a layer holds never gets out of the snapshot."""

    def layer_fails(self, entries, *texts):
        self.stub.image([busybox_layer(), layer(entries)])
        return self.fails(*texts)

    def stays_inside(self, entries):
        """An error or not: the host is untouched (tearDown looks)."""
        self.stub.image([layer(entries)])
        return self.pull()

    def test_dot_dot(self):
        self.layer_fails([("../../../../../../tmp/casco-escape", b"x")], "..", "escape", "outside")
        self.assertFalse(os.path.exists("/tmp/casco-escape"))

    def test_what_becomes_of_names_that_lead_out(self):
        """SECURITY.md, "Names in layers": a file inside, or an error in words; never one outside."""
        new, sentinel = str(self.outside / "new"), str(self.outside / "sentinel")
        climb = "../" * 30
        inside = [
            ([(new, b"inside\n")], new),
            ([("l", f"-> {self.outside}"), ("l/new", b"inside\n")], new),
            ([("l", "-> " + climb + new[1:].rpartition("/")[0]), ("l/new", b"inside\n")], new),
            ([("l", f"-> {sentinel}"), ("l", b"inside\n")], "/l"),
            ([(sentinel, b"inside\n"), tar_entry("h", tarfile.LNKTYPE, sentinel)], "/h"),
        ]
        for n, (entries, path) in enumerate(inside):
            with self.subTest(entries=entries):
                self.stub.image([busybox_layer(), layer(entries)])
                self.works()
                r = self.ctr("run", "--rm", self.stub.reference, f"inside-{n}", "/bin/cat", path)
                self.assertEqual(r.stdout, "inside\n")
        refused = [
            ([(climb + new[1:], b"x")], '".." in its name'),
            ([("/.." + new, b"x")], '".." in its name'),
            ([tar_entry("h", tarfile.LNKTYPE, climb + sentinel[1:])], '".." in its name'),
            ([tar_entry("h", tarfile.LNKTYPE, sentinel)], "no such file or directory"),
            ([("l", f"-> {self.outside}"), tar_entry("h", tarfile.LNKTYPE, "l/sentinel")], "no such file or directory"),
        ]
        for entries, text in refused:
            with self.subTest(entries=entries):
                self.layer_fails(entries, text)

    def test_dot_dot_inside(self):
        self.stays_inside([("a/../../../b", b"x")])

    def test_absolute(self):
        self.stays_inside([(str(self.outside / "new"), b"x")])

    def test_write_through_a_symlink(self):
        self.stays_inside([("l", f"-> {self.outside}"), ("l/new", b"x"), ("l/sentinel", b"x")])

    def test_write_through_a_relative_symlink(self):
        self.stays_inside([("l", "-> " + "../" * 30 + str(self.outside)[1:]), ("l/new", b"x")])

    def test_a_folder_replaced_by_a_symlink(self):
        self.stays_inside([("a", None), ("a/x", b"1"), ("a", f"-> {self.outside}"), ("a/y", b"x")])

    def test_a_file_over_a_symlink(self):
        self.stays_inside([("s", f"-> {self.outside}/sentinel"), ("s", b"x")])

    def test_mode_through_a_symlink(self):
        self.stays_inside([("s", f"-> {self.outside}"), tar_entry("s", tarfile.DIRTYPE, mode=0o777)])

    def test_hard_links_out(self):
        for target in (str(self.outside / "sentinel"), "../" * 30 + str(self.outside)[1:] + "/sentinel"):
            self.stub.image([layer([tar_entry("h", tarfile.LNKTYPE, target), ("h", b"x")])])
            self.pull()

    def test_hard_link_through_a_symlink(self):
        self.stays_inside([("s", f"-> {self.outside}"), tar_entry("h", tarfile.LNKTYPE, "s/sentinel"), ("h", b"x")])

    def test_whiteout_of_what_is_outside(self):
        self.stays_inside([("s", f"-> {self.outside}"), ("s/.wh.sentinel", b""), ("s/.wh..wh..opq", b"")])

    def test_whiteouts_of_no_name(self):
        for name in (".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/../../x"):
            self.stays_inside([("a", None), (name, b"")])

    def test_a_layer_in_a_layer_below(self):
        """The link is in the lower layer, the write in the upper one."""
        self.stub.image([layer([("l", f"-> {self.outside}")]), layer([("l/new", b"x")])])
        self.pull()

    def test_no_tar(self):
        self.stub.image([layer([])], packed=gzip.compress(b"this is no archive " * 100))
        self.fails("tar")

    def test_cut_off_gzip(self):
        self.stub.image([layer([])], packed=gzip.compress(layer([("a", os.urandom(10000))]))[:-500])
        self.fails("gzip", "EOF", "early", "ends", "ended")

    def test_another_diff_id(self):
        self.stub.image([layer([("a", b"1")])], packed=gzip.compress(layer([("a", b"2")])))
        self.fails("diff", "digest")

    def test_names_too_long(self):
        self.layer_fails([("n" * 300, b"x")], "name too long", "too long")
        self.layer_fails([("n/" * 3000, None)], "too long")

    def test_many_opaque_whiteouts(self):
        """200 000 of them in one folder cost time in proportion, no more."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            tar.addfile(tar_entry("d", tarfile.DIRTYPE, mode=0o755)[0])
            header = tar_entry("d/.wh..wh..opq")[0].tobuf(tarfile.USTAR_FORMAT)
            out.write(header * 200000)
        data = out.getvalue() + b"\0" * 1024
        self.stub.image([data], packed=gzip.compress(data, 1))
        began = time.monotonic()
        self.pull()
        self.assertLess(time.monotonic() - began, 30)

    def test_a_bomb(self):
        """Zeros without end: megabytes that claim to be hundreds of gigabytes."""
        info = tarfile.TarInfo("zeros")
        info.size = 200 << 30
        head = gzip.compress(info.tobuf(tarfile.GNU_FORMAT))
        member = gzip.compress(b"\0" * (64 << 20), 9)
        self.stub.image([layer([])], packed=head + member * 64)
        r = self.pull(timeout=120)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("layer unpacks to more than", r.stderr)


class Imports(BadImages):
    """Archives given to `ctr images import`."""

    def import_fails(self, data, *texts):
        path = self.scratch.path / "archive.tar"
        path.write_bytes(data)
        r = self.ctr("images", "import", path, check=False)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertTrue(any(t in r.stderr for t in texts), r.stderr)

    def test_no_archive(self):
        self.import_fails(b"nothing of the kind" * 100, "tar")

    def test_an_empty_archive(self):
        self.import_fails(layer([]), "index.json", "manifest.json", "image")

    def test_a_blob_with_another_digest(self):
        name = "blobs/sha256/" + hashlib.sha256(b"one").hexdigest()
        index = {"schemaVersion": 2, "manifests": []}
        self.import_fails(layer([("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), (name, b"two"),
                                 ("index.json", json.dumps(index).encode())]), "digest")

    def test_a_huge_index(self):
        self.import_fails(layer([("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
                                 ("index.json", b" " * (9 << 20))]), "index.json has 9437184 bytes")

    def test_an_archive_of_folders(self):
        """Each has a name, and memory would hold them all."""
        self.import_fails(layer([(f"d{i}", None) for i in range(17000)]), "archive has over 16384 entries")

    def test_links_in_the_archive(self):
        self.import_fails(layer([("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
                                 ("index.json", "-> /etc/passwd")]), "index.json", "image", "link", "regular")


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)
        self.root = self.scratch.path / "small"
        self.root.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "casco-test", self.root], check=True)
        self.addCleanup(subprocess.run, ["umount", self.root], check=True)
        self.daemon = Daemon(self.scratch.path, root=self.root / "root")
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.stub = Stub()
        self.addCleanup(self.stub.stop)

    def used(self):
        s = os.statvfs(self.root)
        return (s.f_blocks - s.f_bfree) * s.f_frsize

    def refused(self, data):
        before = self.used()
        self.stub.image([layer([("a", data)])])
        r = self.daemon.ctr("images", "pull", self.stub.reference, check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("no space left on device", r.stderr)
        self.assertEqual(self.daemon.ctr("images", "list", "-q").stdout, "")
        self.assertEqual(self.daemon.ctr("snapshots", "list").stdout.splitlines()[1:], [])
        wait_for("the disk to be free again", lambda: self.used() < before + (2 << 20), 20)
        self.stub.image([layer([("a", b"small")])])
        self.daemon.ctr("images", "pull", self.stub.reference)
        self.daemon.ctr("images", "remove", "--sync", self.stub.reference)

    def test_no_room_for_the_layer(self):
        self.refused(os.urandom(40 << 20))

    def test_no_room_for_its_content(self):
        self.refused(b"\0" * (60 << 20))


del BadImages, DaemonTest  # bases, not tests

if __name__ == "__main__":
    unittest.main()

"""ctr's commands for images and content, from the registry to the folder they are mounted on."""
import hashlib
import io
import json
import os
import subprocess
import tarfile

from casco import DaemonTest
from registry import Authority, Registry, layer, mkimage

DEBIAN = "/usr/bin/ctr"
TOOL = "docker.io/library/tool:1"


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def archive(path, entries=()):
    """What docker save writes: one plain layer with a bin/ and a lib/."""
    rootfs = layer([("bin", None), ("bin/tool", b"#!/bin/sh\n"), ("lib", None), ("lib/libtool.so", b"so"),
                    ("etc", None), ("etc/tool", b"x"), *entries])
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": {"kept": "yes"}}, "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(rootfs).hexdigest()]}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [TOOL], "Layers": ["1/layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for file, data in ((name, config), ("1/layer.tar", rootfs), ("manifest.json", manifest)):
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return rootfs


class Images(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.scratch.path / "tool.tar"
        cls.rootfs = archive(cls.path)
        cls.ctr("images", "import", "--platform", "linux/amd64", cls.path)

    def tree(self, name):
        """The media types that an image consists of, and the digest of its last layer."""
        lines = [line.split("── ") for line in self.ctr("images", "inspect", name).stdout.splitlines()]
        found = [line[1].split(" ") for line in lines if len(line) == 2]
        return [f[0] for f in found], found[-1][1][1:]

    def blob(self, digest):
        return subprocess.run(self.daemon.command("content", "get", digest), capture_output=True, check=True).stdout

    def test_inspect(self):
        types, last = self.tree(TOOL)
        self.assertEqual(types, ["application/vnd.docker.distribution.manifest.v2+json",
                                 "application/vnd.docker.container.image.v1+json",
                                 "application/vnd.docker.image.rootfs.diff.tar"])
        self.assertEqual(self.blob(last), self.rootfs)
        text = self.ctr("images", "inspect", "--content", TOOL).stdout
        self.assertIn('    │   │      "size": ', text)
        self.assertIn('"containerd.io/gc.ref.content.l.0": "' + last, text)

        found = json.loads(self.ctr("images", "inspect", "--format", "json", "--content", TOOL).stdout)
        self.assertEqual((found["name"], found["target"]["layers"][0]["digest"]), (TOOL, last))
        self.assertEqual(found["target"]["config"]["content"]["config"], {"Labels": {"kept": "yes"}})
        self.assertEqual(found["target"]["content"]["layers"][0]["digest"], last)

    def test_check_and_lists(self):
        r = self.ctr("images", "check", f"name=={TOOL}").stdout.splitlines()
        self.assertEqual(r[0].split(), ["REF", "TYPE", "DIGEST", "STATUS", "SIZE", "UNPACKED"])
        self.assertIn(" complete (2/2) ", r[1])
        self.assertEqual(r[1].split()[-1], "true")
        if os.path.exists(DEBIAN):
            self.assertEqual(self.ctr("images", "check", f"name=={TOOL}", binary=DEBIAN).stdout.splitlines()[1:], r[1:])
        found = json.loads(self.ctr("images", "list", "--format", "json").stdout)
        self.assertEqual(sorted(i["name"] for i in found), sorted(self.ctr("images", "ls", "-q").stdout.split()))
        digests = [i["digest"] for i in json.loads(self.ctr("content", "ls", "--format", "json").stdout)]
        self.assertEqual(sorted(digests), sorted(self.ctr("content", "ls", "-q").stdout.split()))
        for group in ("namespaces", "leases", "plugins"):
            self.assertIsInstance(json.loads(self.ctr(group, "ls", "--format", "json").stdout), list)
        self.assertIn("uuid", json.loads(self.ctr("version", "--format", "json").stdout)["server"])
        self.assertIn("unknown format", self.ctr("images", "ls", "--format", "xml", check=False).stderr)

    def target(self, name):
        return json.loads(self.ctr("images", "ls", "--format", "json", f"name=={name}").stdout)[0]["target"]["digest"]

    def test_convert(self):
        plain = self.tree(TOOL)
        for options, types in ((["--zstd", "--oci"], ["oci.image.manifest.v1+json", "oci.image.config.v1+json", "oci.image.layer.v1.tar+zstd"]),
                               (["--gzip"], ["docker.distribution.manifest.v2+json", "docker.container.image.v1+json", "docker.image.rootfs.diff.tar.gzip"])):
            digest = self.ctr("images", "convert", *options, TOOL, "made:1").stdout.strip()
            got, layer_digest = self.tree("made:1")
            self.assertEqual(got, ["application/vnd." + t for t in types])
            self.assertEqual(self.target("made:1"), digest)
            self.assertEqual(hashlib.sha256(self.blob(layer_digest)).hexdigest(), layer_digest[7:])
            # and back: the very layer that it was
            self.ctr("images", "convert", "--uncompress", "--docker", "made:1", "back:1")
            self.assertEqual(self.tree("back:1"), plain)
        self.assertEqual(self.ctr("images", "convert", "--gzip", "--platform", "linux/amd64", "made:1", "same:1").stdout.strip(),
                         self.target("made:1"))
        if os.path.exists(DEBIAN):
            self.ctr("images", "convert", "--oci", TOOL, "ours:1")
            self.ctr("images", "convert", "--oci", TOOL, "theirs:1", binary=DEBIAN)
            self.assertEqual(self.tree("ours:1"), self.tree("theirs:1"))
        self.assertIn("only one of", self.ctr("images", "convert", "--zstd", "--gzip", TOOL, "x:1", check=False).stderr)
        self.ctr("images", "rm", "made:1", "back:1", "same:1", "ours:1", "theirs:1")

    def test_mount(self):
        folder = self.scratch.path / "mnt"
        folder.mkdir()
        for rw in ([], ["--rw"]):
            chain, where = self.ctr("images", "mount", *rw, TOOL, folder).stdout.split()
            self.assertEqual(where, str(folder))
            self.assertEqual((folder / "bin/tool").read_bytes(), b"#!/bin/sh\n")
            self.assertIn(chain, self.ctr("images", "usage", TOOL).stdout)
            self.assertIn(str(folder), self.ctr("leases", "ls").stdout)
            try:
                (folder / "new").write_text("x")
                self.assertTrue(rw)
            except OSError:
                self.assertFalse(rw)
            self.ctr("images", "unmount", "--rm", folder)
            self.assertEqual(os.listdir(folder), [])
            self.assertNotIn(str(folder), self.ctr("leases", "ls").stdout + self.ctr("snapshots", "ls").stdout)
        r = self.ctr("images", "mount", TOOL, self.scratch.path / "nowhere", check=False)
        self.assertIn("No such file or directory", r.stderr.replace("no such", "No such"))
        self.assertNotIn("nowhere", self.ctr("leases", "ls").stdout + self.ctr("snapshots", "ls").stdout)

    def test_tag(self):
        self.ctr("images", "tag", TOOL, "moved:1")
        self.ctr("images", "tag", self.IMAGE, "moved:1")
        self.assertEqual(self.target("moved:1"), self.target(self.IMAGE))
        self.assertIn("already exists", self.ctr("images", "tag", "--local", TOOL, "moved:1", check=False).stderr)
        self.ctr("images", "tag", "--local", "--force", TOOL, "moved:1")
        self.assertEqual(self.target("moved:1"), self.target(TOOL))
        self.assertIn("error parsing reference", self.ctr("images", "tag", TOOL, "BAD NAME", check=False).stderr)
        self.ctr("images", "tag", "--skip-reference-check", TOOL, "BAD NAME")
        self.ctr("images", "rm", "moved:1", "BAD NAME")

    def test_prune(self):
        ns = ("-n", "prune")
        self.ctr(*ns, "images", "import", "--local", "--label", "a=b", self.path)
        self.ctr(*ns, "images", "tag", TOOL, "other:1")
        self.ctr(*ns, "containers", "create", "other:1", "user", "true")
        self.assertIn("requires --all", self.ctr(*ns, "images", "prune").stderr)
        self.assertIn("deleted image: " + TOOL, self.ctr(*ns, "images", "prune", "--all").stderr)
        self.assertEqual(self.ctr(*ns, "images", "ls", "-q").stdout, "other:1\n")
        self.ctr(*ns, "containers", "rm", "user")
        self.ctr(*ns, "images", "prune", "--all")
        self.assertEqual(self.ctr(*ns, "images", "ls", "-q").stdout + self.ctr(*ns, "content", "ls", "-q").stdout, "")

    def test_discarded_layers(self):
        ns = ("-n", "discard")
        self.ctr(*ns, "images", "import", "--discard-unpacked-layers", "--compress-blobs", self.path)
        types, last = self.tree(TOOL)
        self.assertTrue(types[-1].endswith(".tar"))  # the other namespace's is as it was
        self.ctr(*ns, "content", "prune", "references")
        self.assertIn("incomplete (1/2)", self.ctr(*ns, "images", "check").stdout)
        self.assertEqual(self.ctr(*ns, "images", "usage", TOOL).stdout.splitlines()[0].split(), ["KEY", "SIZE", "INODES"])
        self.ctr(*ns, "images", "rm", "--sync", TOOL)

    def test_compressed_blobs(self):
        self.ctr("-n", "gz", "images", "import", "--compress-blobs", self.path)
        self.assertIn("rootfs.diff.tar.gzip @", self.ctr("-n", "gz", "images", "inspect", TOOL).stdout)
        self.ctr("-n", "gz", "images", "rm", "--sync", TOOL)

    def completed(self, *words):
        r = self.ctr(*words, "--generate-bash-completion")
        return r.stdout.split()

    def test_completion(self):
        digest = self.target(TOOL)
        for words in (("images", "inspect"), ("images", "convert", "--zstd"), ("i", "export", "out.tar"), ("install",),
                      ("images", "push", "x/y:1")):
            self.assertIn(TOOL, self.completed(*words))
        self.assertEqual(self.completed("images", "inspect", TOOL) + self.completed("images", "export"), [])
        self.assertIn(digest, self.completed("content", "get", digest))
        self.assertIn(digest, self.completed("content", "push-object", "x/y:1"))
        self.assertEqual(self.completed("content", "prune"), ["references"])
        self.assertIn("--zstd", self.completed("images", "convert", "--"))

    def test_install_of_what_is_hostile(self):
        folder, path = self.scratch.path / "hostile", self.scratch.path / "hostile.tar"
        outside = member("bin/out", type=tarfile.LNKTYPE, linkname="../../etc/passwd")
        for entries, why in (([(member("bin/disk", type=tarfile.BLKTYPE, mode=0o666), None)], "bin/disk is no program"),
                             ([(outside, None)], "would leave the root"),
                             ([(member("bin/../../up", size=1), b"x")], "would leave the root")):
            archive(path, entries)
            self.ctr("-n", "hostile", "images", "import", "--no-unpack", path)
            self.assertIn(why, self.ctr("-n", "hostile", "install", "--replace", "--path", folder, TOOL, check=False).stderr)
        archive(path, [(member("bin/mine", size=1, mode=0o6777, uid=1000, gid=1000,
                               pax_headers={"SCHILY.xattr.user.a": "b"}), b"x")])
        self.ctr("-n", "hostile", "images", "import", "--no-unpack", path)
        self.ctr("-n", "hostile", "install", "--replace", "--path", folder, TOOL)
        st = os.stat(folder / "bin/mine")
        self.assertEqual((st.st_mode & 0o7777, st.st_uid, st.st_gid, os.listxattr(folder / "bin/mine")), (0o755, 0, 0, []))
        self.assertEqual(sorted(os.listdir(folder / "bin")), ["mine", "tool"])
        self.ctr("-n", "hostile", "images", "rm", TOOL)

    def test_install(self):
        folder = self.scratch.path / "opt"
        self.ctr("install", "--path", folder, TOOL)
        self.assertEqual([str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))], ["bin", "bin/tool"])
        self.assertIn("cannot replace bin/tool", self.ctr("install", "--path", folder, TOOL, check=False).stderr)
        self.ctr("install", "--path", folder, "--libs", "--replace", TOOL)
        self.assertEqual((folder / "lib/libtool.so").read_bytes(), b"so")
        self.assertIn("/opt/containerd", self.ctr("plugins", "ls", "-d", "id==opt").stdout)

    def test_content(self):
        text = '{"a":1}\n'
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        self.ctr("content", "ingest", "--expected-size", "8", "--expected-digest", digest, "key", input=text)
        self.ctr("content", "label", digest, "containerd.io/gc.root=test")  # a collection may come at any time
        self.assertEqual(self.ctr("content", "get", digest).stdout, text)
        edited = self.ctr("content", "edit", "--validate", "json", "--editor", "sed -i s/1/2/", digest).stdout.strip()
        self.assertEqual(edited, "sha256:" + hashlib.sha256(b'{"a":2}\n').hexdigest())
        for arguments, why in ((("--editor", "false", digest), "exit status 1"), ((digest,), "editor is required"),
                               (("--editor", "true", "x"), "invalid checksum digest format"),
                               (("--validate", "json", "--editor", "echo no >", digest), "is no JSON")):
            self.assertIn(why, self.ctr("content", "edit", *arguments, check=False).stderr)
        r = self.ctr("content", "ingest", "--expected-digest", "sha256:" + 64 * "0", "wrong", input="x", check=False)
        self.assertIn("unexpected commit digest", r.stderr)
        self.assertIn("wrong\t0B\t", self.ctr("content", "active", "-t", "5s").stdout)
        self.ctr("content", "rm", digest, edited)


class Registries(DaemonTest):
    """By a worker of ctr's own, which has options that the Transfer service has no field for."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(cls.scratch.path / "registry", Authority(cls.scratch.path / "ca"))
        cls.addClassCleanup(cls.registry.stop)
        cls.name = f"{cls.registry.host}/team/app:1"
        cls.ca = ("--tlscacert", cls.registry.authority.ca)
        cls.ctr("images", "push", *cls.ca, cls.name, cls.IMAGE)

    def accepted(self, reference, repository="team/app"):
        return self.registry.request("GET", f"/v2/{repository}/manifests/{reference}",
                                     headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})

    def test_pull(self):
        ns = ("-n", "local")
        r = self.ctr(*ns, "images", "pull", "--local", self.name, check=False)
        self.assertIn("name its authority with --tlscacert", r.stderr)
        r = self.ctr(*ns, "images", "pull", "-k", "--print-chainid", "--label", "a=b", self.name)
        self.assertIn("image chain ID: sha256:", r.stdout)
        self.assertIn("done: ", r.stdout)
        self.assertEqual(self.ctr(*ns, "run", "--rm", self.name, "c", "echo", "hi").stdout, "hi\n")
        self.assertIn(" a=b ", self.ctr(*ns, "images", "ls").stdout)
        r = self.ctr(*ns, "images", "pull", *self.ca, "--http-dump", "--max-concurrent-downloads", "1", self.name)
        self.assertIn("> HEAD /v2/team/app/manifests/1", r.stderr)
        self.ctr(*ns, "images", "rm", "--sync", self.name)
        self.ctr("namespaces", "remove", "--cgroup", "local")  # nothing of it stays: see tearDownClass

    def test_push(self):
        digest = json.loads(self.ctr("images", "ls", "--format", "json").stdout)[0]["target"]["digest"]
        self.ctr("images", "push", *self.ca, "--manifest", digest, "--allow-non-distributable-blobs", self.name[:-1] + "2")
        self.assertEqual(self.accepted("2")[:2], self.accepted("1")[:2])
        path = self.scratch.path / "layers.tar"
        mkimage.write_layout(path, *mkimage.image([layer([(str(i), b"x" * i)]) for i in range(5)], "many/layers:1"))
        self.ctr("images", "import", "--no-unpack", path)
        many = f"{self.registry.host}/many/layers:1"
        self.ctr("images", "push", *self.ca, "--max-concurrent-uploaded-layers", "4", many, "many/layers:1")
        self.ctr("-n", "many", "content", "fetch", *self.ca, many)
        self.assertIn("complete (6/6)", self.ctr("-n", "many", "images", "check").stdout)
        self.assertIn("invalid manifest digest", self.ctr("images", "push", "--manifest", "x", self.name, check=False).stderr)

    def test_objects(self):
        manifest = self.ctr("content", "fetch-object", *self.ca, self.name).stdout
        self.assertEqual(manifest.encode(), self.accepted("1")[1])
        config = json.loads(manifest)["config"]
        blob = self.ctr("content", "fetch-blob", *self.ca, self.name, config["digest"]).stdout
        self.assertEqual(json.loads(blob)["os"], "linux")
        digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        self.assertEqual(self.ctr("content", "fetch-blob", *self.ca, self.name, digest).stdout, manifest)
        r = self.ctr("content", "fetch-blob", *self.ca, self.name, "sha256:" + 64 * "0", check=False)
        self.assertIn("not found", r.stderr)
        other = f"{self.registry.host}/team/other:1"
        for object_digest, media_type in ((config["digest"], config["mediaType"]),
                                          (json.loads(manifest)["layers"][0]["digest"], "application/octet-stream"),
                                          (digest, "application/vnd.oci.image.manifest.v1+json")):
            r = self.ctr("content", "push-object", *self.ca, other, object_digest, media_type)
            self.assertEqual(r.stdout, f"Pushed {object_digest} {media_type}\n")
        self.assertEqual(self.accepted("1", "team/other")[1].decode(), manifest)

    def test_fetch(self):
        ns = ("-n", "fetched")
        self.ctr(*ns, "content", "fetch", *self.ca, "--metadata-only", self.name)
        self.assertIn("incomplete (1/2)", self.ctr(*ns, "images", "check").stdout)
        self.ctr(*ns, "content", "fetch", *self.ca, self.name)
        line = self.ctr(*ns, "images", "check").stdout.splitlines()[1]
        self.assertIn(" complete (2/2) ", line)
        self.assertTrue(line.endswith("false"), line)
        self.assertEqual(self.ctr(*ns, "snapshots", "ls").stdout.count("\n"), 1)
        self.ctr(*ns, "images", "rm", "--sync", self.name)

    def test_all_platforms(self):
        """An index of two: the other one's manifest comes along, its layers do not, unless they are asked for."""
        entries, other = [], None
        for arch in ("amd64", "arm64"):
            blobs, index = mkimage.image([layer([(arch, b"x")])], "x")
            manifest = json.loads(blobs[index["manifests"][0]["digest"]])
            config = json.loads(blobs[manifest["config"]["digest"]])
            config["architecture"] = arch
            data = json.dumps(config).encode()
            manifest["config"].update(digest=mkimage.digest(data), size=len(data))
            for blob in (data, blobs[manifest["layers"][0]["digest"]]):
                self.registry.put_blob("team/two", blob)
            text = json.dumps(manifest).encode()
            other = manifest["layers"][0]["digest"]
            self.registry.put_manifest("team/two", mkimage.digest(text), text, manifest["mediaType"])
            entries.append({"mediaType": manifest["mediaType"], "digest": mkimage.digest(text), "size": len(text),
                            "platform": {"os": "linux", "architecture": arch}})
        index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries})
        self.registry.put_manifest("team/two", "1", index.encode(), "application/vnd.oci.image.index.v1+json")
        name = f"{self.registry.host}/team/two:1"
        for namespace, options, skipped, complete in (("two-a", ["--platform", "linux/amd64"], 0, False),
                                                      ("two-b", ["--platform", "linux/amd64", "--skip-metadata"], 1, False),
                                                      ("two-c", ["--all-platforms"], 0, True)):
            ns = ("-n", namespace)
            self.ctr(*ns, "content", "fetch", *self.ca, *options, name)
            self.assertEqual(self.ctr(*ns, "images", "inspect", name).stdout.count("Content does not exist"), skipped)
            self.assertEqual(other in self.ctr(*ns, "content", "ls", "-q").stdout, complete)
        # a collection leaves what the index names; the layers' labels are pruned with it
        self.ctr("-n", "two-a", "content", "prune", "references")
        self.assertNotIn("Content does not exist", self.ctr("-n", "two-a", "images", "inspect", name).stdout)
        # the conversion of one platform makes an index of one; that of all, where all is here, of two
        for options, count in ((["--platform", "linux/arm64"], 1), (["--all-platforms"], 2)):
            self.ctr(*ns, "images", "convert", "--zstd", *options, name, "two:zstd")
            self.assertEqual(self.ctr(*ns, "images", "inspect", "two:zstd").stdout.count(" Platform: linux/"), count)
        r = self.ctr("-n", "two-a", "images", "convert", "--zstd", "--all-platforms", name, "x:1", check=False)
        self.assertIn("not found", r.stderr)
        r = self.ctr(*ns, "images", "convert", "--platform", "linux/riscv64", name, "x:1", check=False)
        self.assertIn("no manifest found for platform", r.stderr)

    def test_archive(self):
        path = self.scratch.path / "local.tar"
        self.ctr("images", "export", "--local", path, self.IMAGE)
        self.ctr("images", "export", self.scratch.path / "daemon.tar", self.IMAGE)
        self.assertEqual(path.read_bytes(), (self.scratch.path / "daemon.tar").read_bytes())
        ns = ("-n", "archive")
        self.ctr(*ns, "images", "import", "--local", "--no-unpack", "--base-name", "example.com/x", "--digests", path)
        self.assertRegex(self.ctr(*ns, "images", "ls", "-q").stdout, r"^example.com/x@sha256:[0-9a-f]{64}\n$")
        r = self.ctr("images", "import", "--discard-unpacked-layers", "--no-unpack", path, check=False)
        self.assertIn("incompatible options", r.stderr)

"""The ImageService of the container runtime interface: images as kubelet pulls, lists, counts and removes them."""
import base64
import concurrent.futures
import json
import time
import urllib.parse

import cri
import rpc
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch
from registry import layer, mkimage
from stub_registry import INDEX, MANIFEST, Stub

BASIC = 'Basic realm="test"'


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Images(DaemonTest):
    config = "\n[plugins.'io.containerd.cri.v1.images']\n  image_pull_progress_timeout = '1s'\n"

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        layers = f"\n[plugins.'io.containerd.snapshotter.v1.overlayfs']\n  root_path = '{cls.scratch.path}/layers'\n"
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + cls.config + layers)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.cri = cri.Cri(cls.daemon.address)
        cls.addClassCleanup(cls.cri.close)

    def setUp(self):
        self.stub = Stub()
        self.addCleanup(self.stub.stop)
        self.stub.image([layer([("file", b"one")]), layer([("other", b"x" * 5000)])])
        self.reference = self.stub.reference
        self.repository = self.reference.rpartition(":")[0]

    def tearDown(self):
        for image in self.cri("ListImages")["images"]:
            self.cri("RemoveImage", {"image": {"image": image["id"]}})

    def k8s(self, *args, **kw):
        return self.daemon.ctr("-n", "k8s.io", *args, **kw)

    def pull(self, reference=None, **auth):
        return self.cri("PullImage", {"image": {"image": reference or self.reference}, **({"auth": auth} if auth else {})})["image_ref"]

    def status(self, name, verbose=False):
        return self.cri("ImageStatus", {"image": {"image": name}, "verbose": verbose})

    def test_life_of_an_image(self):
        pulled = self.pull()
        self.assertEqual(pulled, self.stub.config)
        # three names, as tools for containerd know them
        digest = f"{self.repository}@{self.stub.top}"
        names = {line.split()[0]: line.split()[-1] for line in self.k8s("images", "list").stdout.splitlines()[1:]}
        self.assertEqual(names, {n: "io.cri-containerd.image=managed" for n in (self.reference, digest, pulled)})
        want = {"id": pulled, "repo_tags": [self.reference], "repo_digests": [digest], "pinned": False, "username": ""}
        [image] = self.cri("ListImages")["images"]
        self.assertEqual({k: image[k] for k in want}, want)
        sizes = [len(data) for data, _ in [self.stub.documents[self.stub.top]]] + [len(b) for b in self.stub.blobs.values()]
        self.assertEqual(int(image["size"]), sum(sizes))
        self.assertEqual(self.cri.all("StreamImages"), [{"images": [image]}])
        for name in (self.reference, digest, f"{self.reference}@{self.stub.top}", pulled, pulled[7:], pulled[7:20]):
            self.assertEqual(self.status(name)["image"], image, name)
        for name in (self.repository + ":2", "sha256:" + "0" * 64, pulled[7:10], ""):
            self.assertNotIn("image", self.status(name), name)
        for wanted, n in ((self.reference, 1), (pulled, 1), ("none", 0), ("", 1)):
            self.assertEqual(len(self.cri("ListImages", {"filter": {"image": {"image": wanted}}})["images"]), n, wanted)
        info = json.loads(self.status(pulled, True)["info"]["info"])
        self.assertEqual(info["imageSpec"], json.loads(self.stub.blobs[self.stub.config]))
        self.assertIn(info["chainID"], self.k8s("snapshots", "list").stdout)
        # unpacked, and counted
        [fs] = self.cri("ImageFsInfo")["image_filesystems"]
        self.assertEqual(fs["fs_id"]["mountpoint"], str(self.scratch.path / "layers"))
        self.assertGreater(int(fs["used_bytes"]["value"]), 5000)
        self.assertGreaterEqual(int(fs["inodes_used"]["value"]), 2)
        self.assertLess(abs(int(fs["timestamp"]) / 1e9 - time.time()), 60)
        # again: nothing new; by its digest: no tag
        self.assertEqual(self.pull(), pulled)
        self.assertEqual(self.pull(digest), pulled)
        self.cri("RemoveImage", {"image": {"image": self.reference}})
        self.assertEqual(self.cri("ListImages")["images"], [])
        self.assertEqual(self.k8s("images", "list", "-q").stdout + self.k8s("snapshots", "list").stdout.partition("\n")[2] + self.k8s("content", "list", "-q").stdout
                         + self.k8s("leases", "list", "-q").stdout, "")
        self.cri("RemoveImage", {"image": {"image": self.reference}})  # gone is gone
        self.assertEqual(self.pull(digest), pulled)
        self.assertEqual(self.status(digest)["image"]["repo_tags"], [])

    def test_an_index_that_shows_another_image_than_it_runs(self):
        """Two manifests, the first without a type: whoever passes it over takes a public image's name for it."""
        public = self.pull()
        shown = self.stub.add_document(json.loads(self.stub.documents[self.stub.top][0]), MANIFEST)
        kept = dict(self.stub.blobs)
        self.stub.image([layer([("evil", b"evil")])])
        evil = self.stub.config
        hidden = self.stub.add_document(json.loads(self.stub.documents[self.stub.top][0]), MANIFEST)
        del hidden["mediaType"]
        kept[hidden["digest"]] = self.stub.documents[hidden["digest"]][0]  # where what has no type is looked for
        self.stub.blobs.update(kept)
        self.stub.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": [hidden, shown]}, INDEX)
        self.assertEqual(self.pull(self.repository + ":1"), evil)
        targets = {line.split()[0]: line.split()[2] for line in self.k8s("images", "list").stdout.splitlines()[1:]}
        self.assertEqual((targets[public], targets[evil]), (shown["digest"], self.stub.top))
        self.assertEqual(self.status(public)["image"]["repo_digests"], [f"{self.repository}@{shown['digest']}"])
        # and a record that lies about its id is nobody's by that
        self.k8s("images", "tag", "--force", f"{self.repository}@{self.stub.top}", public)
        self.assertEqual(self.status(public)["image"]["repo_digests"], [f"{self.repository}@{shown['digest']}"])
        self.assertEqual(self.parent_of(public), json.loads(self.status(public, True)["info"]["info"])["chainID"])

    def parent_of(self, image):
        """The snapshot that a container of the image is made of."""
        config = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "linux": {"security_context": {"namespace_options": {"network": "NODE"}}}}
        pod = self.cri("RunPodSandbox", {"config": config})["pod_sandbox_id"]
        box = self.cri("CreateContainer", {"pod_sandbox_id": pod, "sandbox_config": config,
                                           "config": {"metadata": {"name": "b"}, "image": {"image": image}, "command": ["/file"]}})["container_id"]
        try:
            [line] = [s.split() for s in self.k8s("snapshots", "list").stdout.splitlines() if s.startswith(box)]
            return line[1]
        finally:
            self.cri("RemovePodSandbox", {"pod_sandbox_id": pod})

    def test_images_of_others(self):
        """What ctr brings is kubelet's as well; what is not whole is nobody's."""
        self.k8s("images", "import", SHARE / "busybox.tar")
        [image] = self.cri("ListImages")["images"]
        self.assertEqual(image["repo_tags"], [self.IMAGE])
        for name in ("busybox", "library/busybox:latest", self.IMAGE):
            self.assertEqual(self.status(name)["image"]["id"], image["id"])
        self.k8s("images", "label", self.IMAGE, "io.cri-containerd.pinned=pinned")
        self.assertTrue(self.status("busybox")["image"]["pinned"])
        self.k8s("content", "delete", *self.k8s("content", "list", "-q").stdout.split())
        self.assertEqual(self.cri("ListImages")["images"], [])
        self.k8s("images", "delete", self.IMAGE)

    def test_users(self):
        for user, want in (("1000", {"uid": {"value": "1000"}, "username": ""}), ("7:8", {"uid": {"value": "7"}, "username": ""}),
                           ("www:data", {"username": "www"}), ("-1", {"username": "-1"}), ("99999999999999999999", {"username": "99999999999999999999"})):
            with self.subTest(user=user):
                blobs, index = mkimage.image([layer([("f", user.encode())])], "x:1", {"User": user})
                target = index["manifests"][0]["digest"]
                self.stub.manifest(blobs.pop(target))
                self.stub.blobs = blobs
                image = self.status(self.pull())["image"]
                self.assertEqual({k: image[k] for k in ("uid", "username") if k in image and image[k] is not None}, want)

    def guard(self, *accepted, challenge=BASIC):
        def answer(h):
            if h.headers.get("Authorization") in accepted:
                self.stub.serve(h)
            else:
                h.answer(401, b"", {"WWW-Authenticate": challenge})
        self.stub.rule("/v2/", answer)

    def test_credentials(self):
        self.guard(basic("me", "pa:ss"), "Bearer registry-token")
        packed = base64.b64encode(b"me:pa:ss").decode()
        host = self.stub.host
        for auth in ({"username": "me", "password": "pa:ss"}, {"auth": packed}, {"auth": packed, "server_address": f"http://{host}/v1/"},
                     {"username": "me", "password": "pa:ss", "server_address": host}, {"registry_token": "registry-token"}):
            with self.subTest(auth=auth):
                self.assertEqual(self.pull(**auth), self.stub.config)
        seen = len(self.stub.seen)
        for auth in ({}, {"username": "me", "password": "wrong"}, {"username": "me", "password": "pa:ss", "server_address": "https://other.example"}):
            with self.subTest(auth=auth), self.assertRaises(rpc.RpcError) as caught:
                self.pull(**auth)
            self.assertIn(f'failed to pull and unpack image "{self.reference}"', str(caught.exception))
            self.assertNotIn("pa:ss", str(caught.exception))
        # what belongs elsewhere is not sent here
        sent = [s[3].get("Authorization") for s in self.stub.seen[seen:]]
        self.assertNotIn(basic("me", "pa:ss"), sent)
        for bad in ("!!!", base64.b64encode(b"no colon").decode()):
            with self.assertRaises(rpc.RpcError) as caught:
                self.pull(auth=bad)
            self.assertIn("invalid decoded auth", str(caught.exception))

    def test_identity_token(self):
        asked = []

        def token(h):
            body = h.rfile.read(int(h.headers.get("Content-Length", 0))).decode()
            asked.append(urllib.parse.parse_qs(body))
            h.answer(200, b'{"access_token": "short", "token": "short"}')
        self.stub.rule("/token", token)
        self.guard("Bearer short", challenge=f'Bearer realm="http://{self.stub.host}/token",service="s",scope="repository:x:pull"')
        # the stub answers GET; a refresh token is posted
        from stub_registry import Handler
        Handler.do_POST = Handler.do_GET
        self.assertEqual(self.pull(identity_token="refresh-me"), self.stub.config)
        self.assertEqual(asked[0]["refresh_token"], ["refresh-me"])

    def test_one_pull_for_many(self):
        def slow(h):
            time.sleep(0.7)
            self.stub.serve(h)
        self.stub.rule("/manifests/", slow)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda _: self.pull(), range(8)))
        self.assertEqual(set(got), {self.stub.config})
        layers = [s for s in self.stub.seen if s[2].endswith(self.stub.layer) and s[0] == "GET"]
        manifests = [s for s in self.stub.seen if "/manifests/" in s[2] and s[0] == "GET"]
        self.assertEqual((len(layers), len(manifests)), (1, 1))
        # a failure is everybody's
        self.stub.rules.clear()
        self.stub.documents.clear()
        self.stub.rule("/manifests/", lambda h: (time.sleep(0.5), self.stub.serve(h)))

        def fails(_):
            try:
                return self.pull()
            except rpc.RpcError as e:
                return e.code
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(set(pool.map(fails, range(4))), {"NOT_FOUND"})

    def test_who_led_may_leave(self):
        """The one that waits for another one's pull goes on when that one is given up."""
        self.stub.rule("/manifests/", lambda h: (time.sleep(0.8), self.stub.serve(h)))
        first = self.cri.begin("PullImage", {"image": {"image": self.reference}}, timeout=0.4)
        time.sleep(0.1)
        second = self.cri.begin("PullImage", {"image": {"image": self.reference}}, timeout=20)
        self.assertEqual(first.get(timeout=10)["code"], "DEADLINE_EXCEEDED")
        self.assertEqual(second.get(timeout=20).get("answer", {}).get("image_ref"), self.stub.config)

    def test_a_registry_that_stands_still(self):
        """image_pull_progress_timeout ends the request, whose retries end as well."""
        def stuck(h):
            h.answer(200, b"abc", length=100000)
            h.wfile.flush()
            time.sleep(30)
        self.stub.rule(self.stub.layer, stuck)
        began = time.monotonic()
        with self.assertRaises(rpc.RpcError):
            self.pull()
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(self.cri("ListImages")["images"], [])

    def test_what_is_no_reference(self):
        for name in ("", "UPPER", "a/../b", "x:" + "y" * 200, "x@sha256:12"):
            with self.subTest(name=name), self.assertRaises(rpc.RpcError) as caught:
                self.pull(name or " ")
            self.assertIn("failed to parse image reference", str(caught.exception))

"""A real registry on loopback (Debian's docker-registry), over HTTPS with a CA of our own or over
plain HTTP, and images to put there."""
import http.client
import io
import json
import pathlib
import ssl
import subprocess
import sys
import tarfile

from casco import TOP, free_port, run, wait_for

sys.path.insert(0, str(TOP / "tools"))
import mkimage  # noqa: E402 (found through the line above)


class Authority:
    """A test CA and server certificates for 127.0.0.1 and localhost."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.ca, self.cert, self.key = (self.folder / n for n in ("ca.crt", "server.crt", "server.key"))
        ca_key, request, ext = (self.folder / n for n in ("ca.key", "server.csr", "san.ext"))
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=casco test CA",
             "-keyout", ca_key, "-out", self.ca])
        run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", self.key,
             "-out", request])
        ext.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
             "-days", "2", "-extfile", ext, "-out", self.cert])


class Registry:
    def __init__(self, folder, authority=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.authority, self.port = authority, free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if authority else 'http'}://{self.host}"
        tls = f"\n  tls:\n    certificate: {authority.cert}\n    key: {authority.key}" if authority else ""
        config = self.folder / "config.yml"
        config.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: "
                          f"{self.folder}/data\nhttp:\n  addr: {self.host}{tls}\n")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder)
        wait_for("the registry", self.answers)

    def connect(self):
        if not self.authority:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)

    def answers(self):
        try:
            return self.request("GET", "/v2/")[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None, headers=None):
        c = self.connect()
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.read(), dict(r.getheaders())
        finally:
            c.close()

    def put_blob(self, repository, data):
        status, _, headers = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        where = headers["Location"].partition(self.host)[2] or headers["Location"]
        where += ("&" if "?" in where else "?") + "digest=" + mkimage.digest(data)
        status, body, _ = self.request("PUT", where, data, {"Content-Type": "application/octet-stream"})
        assert status == 201, (status, body)

    def put_manifest(self, repository, reference, data, media_type):
        status, body, _ = self.request("PUT", f"/v2/{repository}/manifests/{reference}", data,
                                       {"Content-Type": media_type})
        assert status == 201, (status, body)

    def push(self, repository, tag, layers, config=None, index=False):
        """An image of these uncompressed layers; returns the digest that the tag names."""
        blobs, top = mkimage.image(layers, f"{repository}:{tag}", config)
        target = top["manifests"][0]
        for digest, data in blobs.items():
            if digest != target["digest"]:
                self.put_blob(repository, data)
        manifest = blobs[target["digest"]]
        if not index:
            self.put_manifest(repository, tag, manifest, target["mediaType"])
            return target["digest"]
        self.put_manifest(repository, target["digest"], manifest, target["mediaType"])
        arch = mkimage.ARCHITECTURES[__import__("platform").machine()]
        listed = {k: target[k] for k in ("mediaType", "digest", "size")}
        data = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                           "manifests": [dict(listed, platform={"os": "linux", "architecture": arch})]}).encode()
        self.put_manifest(repository, tag, data, "application/vnd.oci.image.index.v1+json")
        return mkimage.digest(data)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def busybox_layer():
    return mkimage.rootfs_layer("/bin/busybox")


def layer(entries):
    """An uncompressed layer: (name, bytes) makes a file, (name, None) a folder, (name, '-> t') a link,
    a TarInfo with bytes stands for itself."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in entries:
            if isinstance(name, tarfile.TarInfo):
                tar.addfile(name, io.BytesIO(what) if what is not None else None)
            elif isinstance(what, str) and what.startswith("-> "):
                mkimage.entry(tar, name, 0o777, link=what[3:])
            else:
                mkimage.entry(tar, name, 0o755 if what is None else 0o644, data=what)
    return out.getvalue()


def write_hosts(certs, host, registry):
    """certs.d/HOST/hosts.toml: our registry stands in for HOST."""
    folder = pathlib.Path(certs) / host
    folder.mkdir(parents=True, exist_ok=True)
    ca = f'  ca = "{registry.authority.ca}"\n' if registry.authority else ""
    (folder / "hosts.toml").write_text(
        f'server = "{registry.url}"\n\n[host."{registry.url}"]\n  capabilities = ["pull", "resolve"]\n{ca}')

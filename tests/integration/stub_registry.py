"""A registry that misbehaves on demand: scripted answers over plain HTTP on loopback."""
import http.server
import json
import threading

from registry import mkimage

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self, body, at):
        """Promise all of body, send its beginning, hang up."""
        self.answer(200, body[:at], length=len(body))
        self.wfile.flush()
        self.close_connection = True

    def do_GET(self):
        stub = self.server.stub
        with stub.lock:
            stub.seen.append((self.command, self.headers.get("Host", ""), self.path, dict(self.headers)))
            rule = next((r for r in stub.rules if r[0] in self.path), None)
            if rule and rule[1] is not None:
                rule[1] -= 1
                if rule[1] == 0:
                    stub.rules.remove(rule)
        if rule:
            rule[2](self)
        else:
            stub.serve(self)

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the game


class Stub:
    """One repository "x" with the tag "1".  Rules come first: the first whose text is in the path answers."""

    def __init__(self):
        self.rules, self.seen, self.documents, self.blobs = [], [], {}, {}
        self.lock = threading.Lock()
        self.server = Server(("0.0.0.0", 0), Handler)  # 127.0.0.2 is the other host
        self.server.stub = self
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.reference = f"{self.host}/x:1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def rule(self, path, answer, times=None):
        self.rules.append([path, times, answer])

    def image(self, layers, packed=None):
        """Serve an image of these uncompressed layers; packed replaces the compressed bytes of the last."""
        blobs, index = mkimage.image(layers, "x:1")
        target = index["manifests"][0]["digest"]
        manifest = json.loads(blobs.pop(target))
        if packed is not None:
            last = manifest["layers"][-1]
            blobs.pop(last["digest"])
            last.update(digest=mkimage.digest(packed), size=len(packed))
            blobs[last["digest"]] = packed
        self.blobs = blobs
        self.manifest(manifest)
        self.layer = manifest["layers"][-1]["digest"]
        self.config = manifest["config"]["digest"]
        return manifest

    def manifest(self, document, media_type=MANIFEST):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.top = mkimage.digest(data)
        self.documents["1"] = self.documents[self.top] = (data, media_type)

    def add_document(self, document, media_type):
        data = json.dumps(document).encode()
        self.documents[mkimage.digest(data)] = (data, media_type)
        return {"mediaType": media_type, "digest": mkimage.digest(data), "size": len(data)}

    def serve(self, h):
        kind, _, name = h.path.partition("?")[0].rpartition("/")
        if h.path == "/v2/":
            h.answer(200)
        elif kind.endswith("/manifests") and name in self.documents:
            data, media_type = self.documents[name]
            h.answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": mkimage.digest(data)})
        elif kind.endswith("/blobs") and name in self.blobs:
            self.serve_blob(h, self.blobs[name])
        else:
            h.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}')

    @staticmethod
    def serve_blob(h, data):
        wanted = h.headers.get("Range", "")
        if not wanted.startswith("bytes="):
            return h.answer(200, data, {"Content-Type": "application/octet-stream"})
        start = int(wanted[len("bytes="):].split("-")[0])
        return h.answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

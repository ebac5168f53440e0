"""Traces over OTLP, by HTTP and gRPC: one span a request, with its parent, and below it the calls to shims."""
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest
import xml.etree.ElementTree

from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch, free_port, our_env, run, wait_for
from nri_plugin import inner, text, unpack
from registry import Authority

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Takes what is posted and keeps the spans."""

    def __init__(self, port=0, status=200):
        self.spans, self.services, self.headers, self.status = [], set(), [], status
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                collector.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, h):
        body = h.rfile.read(int(h.headers["Content-Length"]))
        self.headers.append((h.path, dict(h.headers)))
        self.read(body)
        h.send_response(self.status)
        h.end_headers()

    def read(self, body):
        for data in unpack(body).get(1, []):
            resource_spans = unpack(data)
            self.services.add(attributes(inner(resource_spans, 1), 1)["service.name"])
            for scope in resource_spans[2]:
                self.spans += [Span(unpack(s)) for s in unpack(scope).get(2, [])]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name):
        return [s for s in self.spans if s.name.endswith(name)]


def attributes(message, number):
    found = {}
    for kv in message.get(number, []):
        value = inner(unpack(kv), 2)
        found[text(unpack(kv), 1)] = text(value, 1) if 1 in value else value.get(3, [0])[0]
    return found


class Span:
    def __init__(self, m):
        self.trace, self.id, self.parent = m[1][0].hex(), m[2][0].hex(), m.get(4, [b""])[0].hex()
        self.name, self.kind = text(m, 5), m[6][0]
        self.start, self.end = (int.from_bytes(m[n][0], "little") for n in (7, 8))
        self.attributes, self.status = attributes(m, 9), inner(m, 15)


class GrpcCollector(Collector):
    """The same in a process of its own."""

    def __init__(self, folder, *tls):
        self.spans, self.services, self.file = [], set(), folder / "exports"
        port = folder / "port"
        self.process = subprocess.Popen(["/usr/bin/python3", pathlib.Path(__file__).parent / "trace_collector.py", self.file, port, *tls], stderr=subprocess.DEVNULL)
        wait_for("the collector's port", port.exists)
        self.port = int(port.read_text())

    def exports(self):
        lines = [line.split() for line in self.file.read_text().splitlines()] if self.file.exists() else []
        self.spans = []
        for _, body in lines:
            self.read(bytes.fromhex(body))
        return lines

    def named(self, name):
        self.exports()
        return super().named(name)

    def close(self):
        self.process.kill()
        self.process.wait()


class Traces(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)

    def daemon(self, port, more="", **env):
        config = f"""
[plugins.'io.containerd.tracing.processor.v1.otlp']
  endpoint = '127.0.0.1:{port}'
  insecure = true
{more}"""
        d = Daemon(self.scratch.path, config=CONFIG + config,
                   env=our_env(OTEL_BSP_SCHEDULE_DELAY="50", **env)).start()
        self.addCleanup(d.stop)
        return d

    def collector(self, **kw):
        c = Collector(**kw)
        self.addCleanup(c.close)
        return c

    def test_a_request_and_its_shim(self):
        c = self.collector()
        d = self.daemon(c.port, "[plugins.'io.containerd.internal.v1.tracing']\n  service_name = 'house'\n",
                        OTEL_EXPORTER_OTLP_HEADERS="x-key=secret")
        d.ctr("images", "import", SHARE / "busybox.tar")
        d.env["TRACEPARENT"] = PARENT
        before = time.time_ns()
        d.ctr("run", "--rm", DaemonTest.IMAGE, "box", "true")
        del d.env["TRACEPARENT"]
        d.ctr("containers", "info", "nobody", check=False)
        wait_for("spans", lambda: any(s.attributes["rpc.grpc.status_code"] == 5 for s in c.named("Containers/Get")), 5)
        self.assertEqual(c.services, {"house"})
        path, headers = c.headers[0]
        self.assertEqual((path, headers["Content-Type"], headers["x-key"]),
                         ("/v1/traces", "application/x-protobuf", "secret"))
        create = c.named("containerd.services.tasks.v1.Tasks/Create")[0]
        self.assertEqual((create.trace, create.parent, create.kind), (PARENT[3:35], PARENT[36:52], 2))
        self.assertEqual(create.attributes["rpc.service"], "containerd.services.tasks.v1.Tasks")
        self.assertEqual(create.attributes["containerd.namespace"], "default")
        self.assertTrue(before < create.start < create.end < time.time_ns())
        shim = c.named(".Task/Create")[0]
        self.assertEqual((shim.trace, shim.parent, shim.kind), (create.trace, create.id, 3))
        self.assertTrue(create.start <= shim.start <= shim.end <= create.end)
        alone = [s for s in c.named("Containers/Get") if s.trace != create.trace][0]
        self.assertEqual((alone.parent, alone.attributes["rpc.grpc.status_code"], alone.status), ("", 5, {}))

    def test_a_collector_that_is_away(self):
        """Nobody waits for it, it is told once, and it is found again."""
        port = free_port()
        d = self.daemon(port)
        d.ctr("version")
        wait_for("the warning", lambda: "spans are dropped until it works" in d.log(), 5)
        times = []
        for _ in range(10):
            start = time.monotonic()
            d.ctr("version")
            times.append(time.monotonic() - start)
        self.assertLess(min(times), 0.2)  # the others may have had to wait for a processor
        time.sleep(0.2)
        self.assertEqual(d.log().count("spans are dropped"), 1)
        c = self.collector(port=port)
        d.ctr("namespaces", "list")
        wait_for("the span", lambda: c.named("Namespaces/List"), 5)
        wait_for("the news", lambda: "spans were dropped" in d.log(), 5)

    def test_what_is_left_goes_at_the_end(self):
        c = self.collector()
        d = self.daemon(c.port, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{c.port}/mine")
        d.ctr("version")
        d.stop()
        self.assertTrue(c.named("Version/Version"))
        self.assertEqual(c.headers[0][0], "/mine")

    def test_grpc(self):
        c = GrpcCollector(self.scratch.path)
        self.addCleanup(c.close)
        d = self.daemon(c.port, "  protocol = 'grpc'\n[plugins.'io.containerd.internal.v1.tracing']\n  service_name = 'house'\n", OTEL_EXPORTER_OTLP_HEADERS="X-Key=secret,other=1")
        d.env["TRACEPARENT"] = PARENT
        d.ctr("namespaces", "list")
        wait_for("the span", lambda: c.named("Namespaces/List"), 5)
        span = c.named("Namespaces/List")[0]
        self.assertEqual((span.trace, span.parent, c.services, c.exports()[0][0]), (PARENT[3:35], PARENT[36:52], {"house"}, "secret"))
        self.assertNotIn("libcurl", pathlib.Path(f"/proc/{d.process.pid}/maps").read_text())
        # away, and what is left at the end
        d.ctr("version")
        d.stop()
        self.assertTrue(c.named("Version/Version"))
        c.close()
        d.start()
        d.ctr("version")
        wait_for("the warning", lambda: "spans are dropped until it works" in d.log(), 5)
        self.assertIn("connection refused", d.log())

    def test_grpc_over_tls(self):
        """The collector knows us by our certificate, and we it by its CA's."""
        a = Authority(self.scratch.path / "ca")
        c = GrpcCollector(self.scratch.path, a.cert, a.key, a.ca)
        self.addCleanup(c.close)
        ours = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(a.ca), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(a.cert),
                "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": str(a.key), "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret"}
        config = CONFIG + f"[plugins.'io.containerd.tracing.processor.v1.otlp']\n  endpoint = '127.0.0.1:{c.port}'\n  protocol = 'grpc'\n"
        d = Daemon(self.scratch.path, config=config, env=our_env(OTEL_BSP_SCHEDULE_DELAY="50", **ours)).start()
        self.addCleanup(d.stop)
        d.ctr("namespaces", "list")
        wait_for("the span", lambda: c.named("Namespaces/List"), 5)
        self.assertEqual(c.exports()[0][0], "secret")
        d.stop()
        for variable in ("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"):
            before = len(c.exports())
            base = self.scratch.path / variable
            base.mkdir()
            d = Daemon(base, config=config, env=our_env(OTEL_BSP_SCHEDULE_DELAY="50", **{k: v for k, v in ours.items() if k != variable})).start()
            self.addCleanup(d.stop)
            d.ctr("version")
            wait_for("the warning", lambda: "spans are dropped until it works" in d.log(), 10)
            self.assertEqual(len(c.exports()), before)
            d.stop()

    def test_a_named_authority_is_the_only_one(self):
        """A certificate by one that the host trusts for the web is none for the collector."""
        web, own = Authority(self.scratch.path / "web"), self.scratch.path / "own.crt"
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=the operator's own", "-keyout", "/dev/null", "-out", own])
        trusted = self.scratch.path / "trusted"
        trusted.mkdir()
        name = run(["openssl", "x509", "-subject_hash", "-noout", "-in", web.ca]).stdout.strip()
        (trusted / f"{name}.0").write_bytes(pathlib.Path(web.ca).read_bytes())
        (trusted / "ca-certificates.crt").write_bytes(pathlib.Path(web.ca).read_bytes())
        c = GrpcCollector(self.scratch.path, web.cert, web.key, web.ca)
        self.addCleanup(c.close)
        config = CONFIG + f"[plugins.'io.containerd.tracing.processor.v1.otlp']\n  endpoint = '127.0.0.1:{c.port}'\n  protocol = 'grpc'\n"
        client = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(web.cert), "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(web.key)}
        before = 0
        for is_named in False, True:
            base = self.scratch.path / f"named-{is_named}"
            base.mkdir()
            env = our_env(OTEL_BSP_SCHEDULE_DELAY="50", **client, **({"OTEL_EXPORTER_OTLP_CERTIFICATE": str(own)} if is_named else {}))
            d = Daemon(base, config=config, env=env)
            script = base / "containerd"
            script.write_text(f'#!/bin/sh\nmount --bind {trusted} /etc/ssl/certs && exec {d.binary} "$@"\n')
            script.chmod(0o755)
            d.binary = base / "own-mounts"
            d.binary.write_text(f'#!/bin/sh\nexec unshare -m {script} "$@"\n')
            d.binary.chmod(0o755)
            d.start()
            self.addCleanup(d.stop)
            d.ctr("namespaces", "list")
            if is_named:
                wait_for("the warning", lambda: "spans are dropped until it works" in d.log(), 10)  # noqa: B023
                self.assertEqual(len(c.exports()), before)
            else:
                wait_for("the span", lambda: c.named("Namespaces/List"), 5)
            d.stop()
            before = len(c.exports())

    def test_json(self):
        bodies = []

        class JsonCollector(Collector):
            def read(self, body):
                bodies.append(json.loads(body))

        c = JsonCollector()
        self.addCleanup(c.close)
        d = self.daemon(c.port, "  protocol = 'http/json'\n")
        d.env["TRACEPARENT"] = PARENT
        d.ctr("namespaces", "list")
        spans = lambda: [s for b in bodies for s in b["resourceSpans"][0]["scopeSpans"][0]["spans"] if s["name"].endswith("Namespaces/List")]
        wait_for("the span", spans, 5)
        self.assertEqual(c.headers[0][1]["Content-Type"], "application/json")
        s = spans()[0]
        self.assertEqual((s["traceId"], s["parentSpanId"], s["kind"]), (PARENT[3:35], PARENT[36:52], 2))
        self.assertRegex(s["spanId"], "^[0-9a-f]{16}$")
        self.assertTrue(0 < int(s["startTimeUnixNano"]) < int(s["endTimeUnixNano"]))
        self.assertIn({"key": "rpc.grpc.status_code", "value": {"intValue": "0"}}, s["attributes"])
        self.assertIn({"key": "rpc.system", "value": {"stringValue": "grpc"}}, s["attributes"])
        self.assertIn({"key": "service.name", "value": {"stringValue": "containerd"}}, bodies[0]["resourceSpans"][0]["resource"]["attributes"])

    def test_samples(self):
        c = self.collector()
        d = self.daemon(c.port, "[plugins.'io.containerd.internal.v1.tracing']\n  sampling_ratio = 0.0\n")
        d.ctr("version")
        d.env["TRACEPARENT"] = PARENT
        d.ctr("namespaces", "list")
        wait_for("the sampled parent's", lambda: c.named("Namespaces/List"), 5)
        d.stop()
        self.assertEqual(c.named("Version/Version"), [])

    def test_other_protocols_are_refused(self):
        d = Daemon(self.scratch.path, config=CONFIG)
        for env, said in (({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml"}, '"http/protobuf", "http/json" or "grpc", not "http/xml"'),
                          ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "host:1"}, "is no URL")):
            r = run([d.binary, "-c", d.config, "config", "dump"], check=False,
                    env=our_env(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", **env))
            self.assertEqual(r.returncode, 1)
            self.assertIn(said, r.stderr)

    def test_nothing_is_loaded_without_an_endpoint(self):
        d = Daemon(self.scratch.path, config=CONFIG).start()
        self.addCleanup(d.stop)
        d.ctr("version")
        self.assertNotIn("libcurl", pathlib.Path(f"/proc/{d.process.pid}/maps").read_text())


class TraceFile(DaemonTest):
    """ctr --trace FILE."""
    PARTS = {"ctr", "containerd", "shim", "runtime", "init"}

    def trace(self, *words, check=True):
        path = self.scratch.path / "t.json"
        r = self.ctr(*[path if w == "FILE" else w for w in words], check=check)
        events = json.loads(path.read_text())["traceEvents"]
        names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
        picture = xml.etree.ElementTree.parse(path.with_suffix(".svg")).getroot()
        steps = [(names[e["pid"]], e["name"], e["ts"], e["ts"] + e["dur"], e["tid"]) for e in events if e["ph"] == "X"]
        self.assertEqual(len(picture.findall("{*}text")), len(steps) + 1)
        return r, steps

    def test_what_is_no_file_is_not_replaced(self):
        fifo, link = self.scratch.path / "t.fifo", self.scratch.path / "t.link"
        os.mkfifo(fifo)
        link.symlink_to(self.scratch.path / "elsewhere")
        for path in (fifo, link):
            before = os.lstat(path)
            r = self.ctr("run", "--rm", "--trace", path, self.IMAGE, "once", "true", check=False)
            self.assertEqual((r.returncode, r.stderr), (1, f"ctr: write {path}: not a regular file\n"))
            self.assertEqual(os.lstat(path).st_ino, before.st_ino)

    def test_a_run(self):
        _, steps = self.trace("run", "--rm", "--trace", "FILE", self.IMAGE, "once", "true")
        self.assertEqual({who for who, *_ in steps}, self.PARTS)
        whole = steps[0]
        self.assertEqual(whole[:3], ("ctr", "ctr run", 0))
        for who, name, begin, end, _ in steps:
            self.assertTrue(0 <= begin <= end <= whole[3] + 1, (who, name, begin, end, whole))
        # a part's step lies within the call that asked for it
        by_name = {(who, name): (begin, end) for who, name, begin, end, _ in reversed(steps)}
        chain = [("ctr", "containerd.services.tasks.v1.Tasks/Create"), ("containerd", "call of the shim: Create"),
                 ("shim", "wait for the runtime"), ("runtime", "cgroups")]
        for outer, inner in zip(chain[:2], chain[1:3]):
            (b0, e0), (b1, e1) = by_name[outer], by_name[inner]
            self.assertTrue(b0 <= b1 and e1 <= e0 + 1, (outer, inner, b0, e0, b1, e1))
        for who, name in chain + [("init", "mounts and devices"), ("runtime", "execve"), ("containerd", "commit of the database")]:
            self.assertIn((who, name), by_name)
        # what shares a lane follows or encloses
        for i, (who, name, begin, end, lane) in enumerate(steps):
            for other, other_name, b, e, l in steps[i + 1:]:
                if (who, lane) == (other, l):
                    self.assertTrue(b >= end - 0.001 or e <= end + 0.001, (who, name, other_name))

    def test_an_exec_and_a_start(self):
        self.running(name="box")
        r, steps = self.trace("tasks", "exec", "--trace", "FILE", "--exec-id", "e", "box", "echo", "hi")
        self.assertEqual(r.stdout, "hi\n")
        self.assertLessEqual({("ctr", "ctr tasks exec"), ("runtime", "wait for the process")}, {s[:2] for s in steps})
        self.ctr("containers", "create", self.IMAGE, "made", "true")
        _, steps = self.trace("tasks", "start", "--trace", "FILE", "made")
        self.assertEqual({who for who, *_ in steps}, self.PARTS)

    def test_a_start_that_fails(self):
        r, steps = self.trace("run", "--rm", "--trace", "FILE", self.IMAGE, "bad", "/no/such/program", check=False)
        self.assertIn("/no/such/program", r.stderr)
        self.assertIn(("runtime", "wait for init"), {s[:2] for s in steps})

    def test_a_file_that_cannot_be(self):
        r = self.ctr("run", "--rm", "--trace", "/no/such/folder/t.json", self.IMAGE, "never", "true", check=False)
        self.assertEqual((r.returncode, r.stderr.strip()), (1, "ctr: write /no/such/folder/t.json: no such file or directory"))
        self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")


if __name__ == "__main__":
    unittest.main()

"""Services of a daemon in another program: Diff, which makes and applies no layer of the media types "no/…", and Sandbox Controller,
which are answered by the bytes that files of FOLDER hold, one named as the method.  Each request is kept beside it.
usage: proxy_plugin.py SOCKET FOLDER, by Debian's Python with its gRPC."""
import concurrent.futures
import pathlib
import sys
import threading
import time

import grpc


class Plugin(grpc.GenericRpcHandler):
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        meta = dict(details.invocation_metadata)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.answer(method, meta, request, context))

    def answer(self, method, meta, request, context):
        (self.folder / f"{method}.request").write_bytes(request)
        (self.folder / f"{method}.namespace").write_text(meta.get("containerd-namespace", ""))
        if method == "Wait":
            while context.is_active() and not (self.folder / "Wait").exists():
                time.sleep(0.02)
            if not context.is_active():
                (self.folder / "Wait.left").write_text("")
        answer = self.folder / method
        if answer.exists():
            return answer.read_bytes()
        return context.abort(grpc.StatusCode.UNIMPLEMENTED, "not for me")


def main(address, folder):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Plugin(folder),))
    server.add_insecure_port(f"unix://{address}")
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

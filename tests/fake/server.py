# SPDX-License-Identifier: Apache-2.0
"""A threaded HTTP server with an index that blocking queries wait for."""
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class FakeServer:
    """Open it inside the node whose 127.0.0.1 it shall listen on. mode: "ok", a status number to answer
    with, "hang" (accept, never answer), "cut" (the connection, once the question is there), "drip" (the whole answer, in small pieces), "flap" (at once, under
    two indexes in turn), "back" (at once, each under a lower index than the one before), or what the
    subclass adds."""

    index_header = "X-Index"

    def __init__(self, host="127.0.0.1", port=0):
        self.index = self.newest = 10
        self.mode = "ok"
        self.requests = []
        self.query = {}             # of the change that is asked for
        self.answered = 0
        self.times = []             # when each request came
        self.indexes = True         # False: as a proxy that drops the header
        self.leader = True          # False: its servers have none, as it says
        self.odd = None             # (status, headers, bytes) of every answer but the leader's
        self.more_headers = {}
        self.later = {}             # {a part of what is asked: seconds that its answer takes}
        self.rewinds, self.told = 0, {}     # told: of each path, how many it was told of
        self.restores, self.was_restored = 0, False     # was_restored: while this question waited
        self.changed = threading.Condition()
        self.stopped = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True      # an answer is two writes

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass            # the client went; that is its right

            def do_GET(self):
                fake.serve(self)

            def do_PUT(self):
                fake.serve(self)

            def do_DELETE(self):
                fake.serve(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.address = f"http://{host}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        """Connections are refused from now on; who waits is cut off."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=10)

    def set_mode(self, mode):
        """Queries that wait are answered in the new mode at once."""
        with self.changed:
            self.mode = mode
            self.changed.notify_all()

    def bump(self):
        self.newest = max(self.newest, self.index) + 1
        self.index = self.newest
        self.changed.notify_all()

    def rewind(self, index):
        """A server with another history: who asks for a later index is told of this one once, as at the
        end of its wait; the next one who does waits."""
        with self.changed:
            self.index = self.newest = index
            self.rewinds += 1
            self.changed.notify_all()

    def restored(self, index):
        """As Consul's snapshot restore does: who waits is answered with what there was before it, under the
        very index that he named."""
        self.newest = max(self.newest, self.index)      # the next write goes on from there
        self.index = index
        self.restores += 1
        self.changed.notify_all()

    def count(self, part):
        """Requests so far whose path holds part."""
        return sum(part in path for path in list(self.requests))

    def serve(self, handler):
        url = urlsplit(handler.path)
        query = {key: value[0] for key, value in parse_qs(url.query, keep_blank_values=True).items()}
        self.requests.append(handler.path)
        self.times.append(time.monotonic())
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.changed:
            mode = self.mode
            wanted = int(query.get("index", 0))
            restores, path = self.restores, unquote(url.path)
            until = time.monotonic() + int(query.get("wait", "300s").rstrip("s"))
            while (mode in ("ok", "drip") and wanted and self.index_of(path) <= wanted
                   and not self.stopped and self.mode == mode and self.told.get(path, 0) == self.rewinds
                   and self.restores == restores and time.monotonic() < until):
                self.changed.wait(timeout=min(30, max(0, until - time.monotonic())))
            mode = self.mode
            self.told[path] = self.rewinds
            self.answered += 1
            while mode == "hang" and self.mode == "hang" and not self.stopped:
                self.changed.wait(timeout=30)
            if self.stopped:
                handler.close_connection = True
                try:
                    handler.connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                return
            self.more_headers = {}
            self.was_restored = wanted and self.restores != restores
            if path == "/v1/status/leader":
                status, body = 200, json.dumps("127.0.0.1:8300" if self.leader else "")
            elif handler.command == "GET":
                status, body = self.answer(path, query, handler.headers)
            else:
                self.query = query
                status, body = self.change(handler.command, path, body.decode())
            headers = self.more_headers
            if self.indexes:
                index = wanted if self.was_restored else self.shown_index(path)
                headers = {self.index_header: str(index), **headers}
            if not self.leader:
                headers = {self.index_header.replace("Index", "KnownLeader"): "false", **headers}
        time.sleep(next((seconds for part, seconds in self.later.items() if part in handler.path), 0))
        if self.mode == "cut":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if isinstance(self.mode, int):
            status, body, headers = self.mode, "told to fail", {}
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"Content-Type": "application/json", **headers}
        if self.odd and path != "/v1/status/leader":
            status, headers, text = self.odd
        try:
            handler.send_response(status)
            for name, value in headers.items():
                if value is not None:
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            self.send(handler.wfile, text)
        except OSError:
            pass    # the client went; that is its right

    def send(self, out, body):
        """In one piece, or as slowly as "drip" has it."""
        piece = len(body) // 40 + 1 if self.mode == "drip" else len(body) or 1
        for at in range(0, len(body), piece):
            out.write(body[at:at + piece])
            out.flush()
            if self.mode == "drip":
                time.sleep(0.02)

    def index_of(self, path):
        """Of what is asked for: it rises where that changes."""
        return self.index

    def shown_index(self, path):
        if self.mode == "flap":
            return self.index + 1000 * (self.answered % 2)
        if self.mode == "back":
            return max(1, self.index + 1000 - self.answered)
        return self.index_of(path)

    def change(self, verb, path, text):
        """PUT or DELETE."""
        return 405, f"no {verb} of {path}"

    def answer(self, path, query, headers):
        raise NotImplementedError

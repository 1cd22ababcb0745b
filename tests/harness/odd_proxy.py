# SPDX-License-Identifier: Apache-2.0
"""A proxy before a real Nomad or Consul that hands on what they say as something else."""
import http.client
import select
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

PAGE = b"<html><body>Please log in</body></html>"
HUGE = 80 << 20		# more than any answer may have


class Answer:
    """What the server said, on its way to who asked."""

    def __init__(self, handler, status, headers, body):
        self.handler, self.status, self.body = handler, status, body
        self.headers = {k: v for k, v in headers if k.lower() not in ("content-length", "transfer-encoding", "connection", "date")}

    def index(self, value):
        """None: without one."""
        name = next((k for k in self.headers if k.lower() in ("x-nomad-index", "x-consul-index")), None)
        if name:
            del self.headers[name]
            if value is not None:
                self.headers[name] = value

    def head(self, **more):
        self.handler.send_response(self.status)
        for name, value in {**self.headers, **more}.items():
            self.handler.send_header(name.replace("_", "-"), str(value))
        self.handler.end_headers()

    def send(self, body=None):
        body = self.body if body is None else body
        self.head(Content_Length=len(body))
        self.handler.wfile.write(body)

    def pieces(self, size, pause):
        self.head(Content_Length=len(self.body))
        for at in range(0, len(self.body), size):
            self.handler.wfile.write(self.body[at:at + size])
            self.handler.wfile.flush()
            time.sleep(pause)

    def instead(self, status, body=b"", **headers):
        self.status, self.body, self.headers = status, body, {}
        self.head(Content_Length=len(body), **headers)
        self.handler.wfile.write(body)


def as_it_is(answer):
    answer.send()


def cut_short(answer):
    answer.head(Content_Length=len(answer.body) + 1)
    answer.handler.wfile.write(answer.body)
    answer.handler.close_connection = True


def cut_in_a_chunk(answer):
    answer.head(Transfer_Encoding="chunked")
    half = answer.body[:max(1, len(answer.body) // 2)]
    answer.handler.wfile.write(b"%x\r\n%s\r\nno length\r\n" % (len(half), half))
    answer.handler.close_connection = True


def half_of_it(answer):
    answer.send(answer.body[:len(answer.body) // 2])


def a_page(answer):
    answer.headers["Content-Type"] = "text/html"
    answer.send(PAGE)


def without_an_index(answer):
    answer.index(None)
    answer.send()


def index_of_zero(answer):
    answer.index("0")
    answer.send()


def too_many_requests(answer):
    answer.instead(429, b"slow down", Retry_After=1)


def unavailable(answer):
    answer.instead(503, b"maintenance", Retry_After=1)


def elsewhere(answer):
    answer.instead(302, Location=f"http://127.0.0.1:{answer.handler.proxy.trap.server_port}/v1/kv/")


def huge(answer):
    answer.head(Content_Length=HUGE + len(answer.body))
    for _ in range(HUGE >> 20):
        answer.handler.wfile.write(b" " * (1 << 20))
    answer.handler.wfile.write(answer.body)


def in_drips(answer):
    answer.pieces(len(answer.body) // 40 + 1, 0.03)


def closed_after(answer):
    """Without a word, when the connection could be kept."""
    answer.send()
    answer.handler.close_connection = True


def another_kind(answer):
    answer.headers["Content-Type"] = "text/plain"
    answer.send()


def index_back(answer):
    answer.index("3")
    answer.send()


class OddProxy:
    """Makes of each answer what one of the functions above does."""

    def __init__(self, node, host, port):
        self.node, self.host, self.port, self.how, self.turn = node, host, port, as_it_is, 0
        self.waits, self.trapped = True, []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy.pass_on(self)

            do_PUT = do_DELETE = do_GET

            def handle(self):
                self.proxy = proxy
                try:
                    super().handle()
                except OSError:
                    pass		# the client went; that is its right

            def log_message(self, *args):
                pass

        class Trap(BaseHTTPRequestHandler):
            def do_GET(self):
                proxy.trapped.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        with node.inside():
            self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            self.trap = ThreadingHTTPServer(("127.0.0.1", 0), Trap)
        for server in (self.server, self.trap):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        for server in (self.server, self.trap):
            server.shutdown()
            server.server_close()

    def be(self, how, waits):
        """From now on, and who waits is answered at once. waits: later questions may wait as ever."""
        self.how, self.waits = how, waits
        self.turn += 1

    def pass_on(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        turn = self.turn
        with self.node.inside():
            answer = self.ask(handler, handler.path, body, headers, turn) if self.waits else None
            if answer is None:
                answer = self.ask(handler, at_once(handler.path), body, headers, None)
        how = as_it_is if handler.path.startswith("/v1/status/") else self.how
        how(answer)
        handler.wfile.flush()

    def ask(self, handler, path, body, headers, turn):
        """None: it waits, and its turn is over."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=90)
        try:
            connection.request(handler.command, path, body or None, headers)
            while turn is not None and not select.select([connection.sock], [], [], 0.05)[0]:
                if turn != self.turn:
                    return None
            got = connection.getresponse()
            return Answer(handler, got.status, got.getheaders(), got.read())
        finally:
            connection.close()


def at_once(path):
    """The same question, which doesn't wait."""
    url = urlsplit(path)
    query = [(k, v) for k, v in parse_qsl(url.query, keep_blank_values=True) if k not in ("index", "wait")]
    return url.path + "?" + urlencode(query)

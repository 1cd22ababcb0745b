# SPDX-License-Identifier: Apache-2.0
"""picketd's socket with fixed answers, for the CLI's screens: {path: object, list of lines or (status, object)}."""
import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler


class FakePicketd:
    def __init__(self, path, answers):
        fake = self
        self.path, self.answers, self.requests = path, answers, []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                fake.requests.append(self.path)
                fake.answer(self, self.path.split("?")[0])

            def log_message(self, *args):
                pass

            def address_string(self):
                return "unix"

        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.server = socketserver.ThreadingUnixStreamServer(path, Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler, path):
        found = self.answers.get(path, (404, {"error": "no such path", "fix": None}))
        status, body = found if isinstance(found, tuple) else (200, found)
        if isinstance(body, list):		# "" is an empty line
            text = "".join((line and json.dumps(line)) + "\n" for line in body)
        else:
            text = json.dumps(body)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)

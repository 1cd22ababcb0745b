# SPDX-License-Identifier: Apache-2.0
"""
Consul and Nomad by HTTP, in one thread: blocking queries, ?stale, sessions, compare-and-set. Each request and each byte is counted, and
who could have answered it: any server, or the leader alone.
"""
import asyncio
import json
import socket
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}


class Asked:
    """A request as it came."""

    def __init__(self, method, target, headers, body):
        self.at, self.method, self.target, self.headers, self.body = time.monotonic(), method, target, headers, body
        url = urlsplit(target)
        self.path = unquote(url.path)
        self.query = {key: value[0] for key, value in parse_qs(url.query, keep_blank_values=True).items()}
        self.sent = self.said = 0	# bytes of its answer, and its index

    @property
    def index(self):
        return int(self.query.get("index", 0))

    @property
    def of_leader(self):
        """Only the leader may answer it."""
        return self.path != "/v1/status/leader" and not self.path.startswith("/v1/acl/") and "stale" not in self.query


class Service:
    """One of the two. What the subclass has: header, answer(asked), index_of(asked): None where nothing is waited for."""
    header = "X-Index"
    no_leader = b"No cluster leader"

    def __init__(self):
        self.asked, self.waiting, self.leader = [], {}, True

    def wake(self, what):
        for key in [key for key in self.waiting if self.concerns(key, what)]:
            for event in list(self.waiting[key]):
                event.set()

    def concerns(self, key, what):
        raise NotImplementedError

    def lose_leader(self):
        """The leader died: who waited at it is told so; followers' own go on waiting."""
        self.leader = False
        for events in self.waiting.values():
            for event in list(events):
                event.set()

    def find_leader(self):
        self.leader = True

    async def wait(self, asked, until):
        """Until there is a newer index, the wait is over, or the leader that is asked is gone."""
        key = self.key_of(asked)
        while self.index_of(asked) <= asked.index and (left := until - time.monotonic()) > 0:
            if asked.of_leader and not self.leader:
                return
            event = asyncio.Event()
            self.waiting.setdefault(key, set()).add(event)
            try:
                await asyncio.wait_for(event.wait(), left)
            except asyncio.TimeoutError:
                pass
            finally:
                self.waiting[key].discard(event)

    async def reply(self, asked):
        """(status, headers, body)"""
        if asked.index and self.key_of(asked) is not None:
            await self.wait(asked, asked.at + int(asked.query.get("wait", "300s").rstrip("s")))
        if asked.path == "/v1/status/leader":
            return 200, {}, b'"192.0.2.1:8300"' if self.leader else b'""'
        if asked.of_leader and not self.leader:
            return 500, {}, self.no_leader
        status, body = self.answer(asked)
        headers = {} if self.leader else {self.header.replace("Index", "KnownLeader"): "false"}
        if self.key_of(asked) is not None:
            asked.said = self.index_of(asked)
            headers[self.header] = str(asked.said)
        return status, headers, body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = first.split(" ", 2)
                asked = Asked(method, target, headers, body)
                self.asked.append(asked)
                status, more, text = await self.reply(asked)
                more = {"Content-Type": "application/json", **more, "Content-Length": len(text)}
                answer = f"HTTP/1.1 {status} {REASONS[status]}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in more.items()) + "\r\n"
                asked.sent = len(answer) + len(text)
                writer.write(answer.encode() + text)
                await writer.drain()
                self.sent(asked)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass			# the client went; that is its right
        finally:
            writer.close()

    def sent(self, asked):
        """An answer went out."""

    # What the subclass has.

    def key_of(self, asked):
        raise NotImplementedError

    def index_of(self, asked):
        raise NotImplementedError

    def answer(self, asked):
        raise NotImplementedError


class Servers:
    """with node.inside(): Servers({name: Service}); .address[name]. All of it is one thread's; do(work) has it done there."""

    def __init__(self, services):
        self.loop = asyncio.new_event_loop()
        self.address, self.listeners, sockets = {}, [], {}
        for name in services:
            sockets[name] = socket.socket()
            sockets[name].bind(("127.0.0.1", 0))
            self.address[name] = f"http://127.0.0.1:{sockets[name].getsockname()[1]}"
        self.listening = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(services, sockets), daemon=True)
        self.thread.start()
        self.listening.wait()

    def _run(self, services, sockets):
        asyncio.set_event_loop(self.loop)
        for name, service in services.items():
            self.listeners.append(self.loop.run_until_complete(asyncio.start_server(service.serve, sock=sockets[name], limit=1 << 20)))
        self.loop.call_soon(self.listening.set)
        self.loop.run_forever()

    def do(self, work, *args):
        """work's answer, once it is done between two requests."""
        async def doing():
            return work(*args)
        return asyncio.run_coroutine_threadsafe(doing(), self.loop).result(60)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=10)
        for listener in self.listeners:
            listener.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self.loop), return_exceptions=True))
        self.loop.close()

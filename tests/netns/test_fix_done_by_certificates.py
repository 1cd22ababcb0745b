# SPDX-License-Identifier: Apache-2.0
"""What is said of a server's certificates, of clients' and of tokens as a `fix:` is done, and then the server is content, and so are picketd and the CLI."""
import contextlib
import os
import socket
import ssl

import pytest
from fake import FakeConsul, serving
from harness.shell import wait_for
from harness.tls import Authority
from test_fix_done import is_refused
from test_fix_done_at_add import reload
from test_fix_done_by_operator import complains, is_content
from test_policy_consul import OPEN

PLAIN = b"HTTP/1.0 400 Bad Request\r\nContent-Length: 48\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class TlsConsul(FakeConsul):
    """Its port speaks TLS, and says to plain HTTP what Go's servers do. context: whom it wants to see, and what it shows."""

    def __init__(self, context):
        super().__init__()
        self.address = self.address.replace("http://", "https://")
        plainly = self.server.finish_request

        def finish(request, address):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                if request.recv(1, socket.MSG_PEEK) != b"\x16":
                    request.recv(65536)
                    request.sendall(PLAIN)
                    return
                with context.wrap_socket(request, server_side=True) as tls:
                    plainly(tls, address)
        self.server.finish_request = finish


class Site:
    """A Consul by TLS, whose certificate is for consul.example, and the settings by which it is reached."""

    def __init__(self, node):
        self.node, self.authority = node, Authority(os.path.join(node.root, "etc/tls"))
        self.others = Authority(os.path.join(node.root, "etc/tls"), "others")
        self.cert, self.key = self.authority.signed("picketd", ("picketd",))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*self.authority.signed("consul", ("consul.example",)))
        self.context.load_verify_locations(self.authority.ca)
        with node.inside():
            self.consul = TlsConsul(self.context)

    def settings(self, **more):
        return {"address": self.consul.address, "caFile": self.authority.ca, "serverName": "consul.example", **more}

    def config(self, **more):
        return {"node": "n1", "nomad": None, "consul": {key: value for key, value in self.settings(**more).items() if value}}

    def cli(self, **more):
        """A question of the CLI's, by the same settings as its environment has them."""
        names = {"address": "CONSUL_HTTP_ADDR", "caFile": "CONSUL_CACERT", "serverName": "CONSUL_TLS_SERVER_NAME", "certFile": "CONSUL_CLIENT_CERT",
                 "keyFile": "CONSUL_CLIENT_KEY"}
        env = {names[key]: value for key, value in self.settings(**more).items() if value}
        return self.node.picket("policy", "list", "-consul", check=False, env={"PATH": os.environ["PATH"], **env})


@pytest.fixture
def site(node):
    made = Site(node)
    yield made
    made.consul.stop()


# (fix of picketd, fix of the CLI, what is wrong with the settings); who: the server wants a certificate.
CERTIFICATES = [
    ("name in caFile who signed its certificate", "name in CONSUL_CACERT who signed its certificate", {"caFile": "others.pem"}, False),
    ("name in serverName what its certificate is for", "name in CONSUL_TLS_SERVER_NAME what its certificate is for", {"serverName": "127.0.0.1"}, False),
    ("name one in certFile and keyFile", "name one in CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY", {"certFile": None, "keyFile": None}, True),
    ("certFile and keyFile are PEM, and of one another", "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY are PEM, and of one another", {"keyFile": "others.key"}, True),
]


@pytest.mark.parametrize("fix, of_cli, wrong, who", CERTIFICATES, ids=[row[0][:40] for row in CERTIFICATES])
def test_a_certificate(site, fix, of_cli, wrong, who):
    node, folder = site.node, site.authority.directory
    if who:
        site.context.verify_mode = ssl.CERT_REQUIRED
    right = {"certFile": site.cert, "keyFile": site.key} if who else {}
    wrong = right | {key: value and (os.path.join(folder, value) if "." in value and key != "serverName" else value) for key, value in wrong.items()}
    is_refused(site.cli(**wrong), of_cli)
    assert site.cli(**right).returncode == 0
    node.start_picketd(site.config(**wrong))
    complains(node, fix)
    reload(node, site.config(**right))
    is_content(node, fix)
    assert not node.reasons("consul")


def test_plain_words_to_a_server_that_speaks_tls(site):
    node, fix = site.node, "write https:// in its address"
    plain = site.consul.address.replace("https://", "http://")
    is_refused(site.cli(address=plain), fix)
    node.start_picketd(site.config(address=plain, caFile=None, serverName=None))
    complains(node, fix)
    reload(node, site.config())
    is_content(node, fix)
    assert not node.reasons("consul")


class Asking(FakeConsul):
    """It knows every token but one."""

    def answer(self, path, query, headers):
        self.token_known = headers.get("X-Consul-Token") != "unknown"
        return super().answer(path, query, headers)


def test_a_token_that_consul_does_not_know(node):
    """An empty list is taken only from one that is known: the document stays until then."""
    fix = "give picketd a token that Consul knows"
    token = os.path.join(node.root, "etc/picket/token")

    def give(text):
        with open(token, "w", encoding="ascii") as file:
            file.write(text)
    give("known")
    with serving(node, Asking) as consul:
        consul.put("operator/open", OPEN)
        node.start_picketd({"node": "n1", "nomad": None, "consul": {"address": consul.address, "tokenFile": token}})
        wait_for(lambda: node.api("/v1/policies")["policies"], "the document")
        give("unknown")
        with consul.changed:
            consul.touch("operator/open")
            consul.set_mode("empty")
        complains(node, fix)
        give("known")
        is_content(node, fix)
        wait_for(lambda: not node.api("/v1/policies")["policies"], "its end")

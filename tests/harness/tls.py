# SPDX-License-Identifier: Apache-2.0
"""A certificate authority and what it signs, in a directory."""
import ipaddress
import os

from .shell import run


def subject(name):
    """A name as a certificate has it: an address isn't a DNS name."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


class Authority:
    """.ca is its certificate's path; signed(name, names) makes name.pem and name.key."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        os.makedirs(directory, exist_ok=True)
        self.ca, self._key = self._path(f"{name}.pem"), self._path(f"{name}.key")
        run(["openssl", "req", "-x509", *self._new_key(self._key), "-days", "2", "-subj",
             f"/CN={name}", "-out", self.ca])

    def _path(self, name):
        return os.path.join(self.directory, name)

    @staticmethod
    def _new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                path]

    def signed(self, name, names=("localhost",)):
        """(certificate, key), for servers and clients alike; names: DNS names and addresses that it is for."""
        cert, key, request, extra = (self._path(f"{name}.{end}")
                                     for end in ("pem", "key", "csr", "ext"))
        with open(extra, "w", encoding="utf-8") as file:
            file.write("subjectAltName = " + ", ".join(map(subject, names)) + "\n"
                       "extendedKeyUsage = serverAuth, clientAuth\n")
        run(["openssl", "req", *self._new_key(key), "-subj", f"/CN={names[0]}", "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key,
             "-CAcreateserial", "-days", "2", "-extfile", extra, "-out", cert])
        return cert, key

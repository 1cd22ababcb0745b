# SPDX-License-Identifier: Apache-2.0
"""The Debian package as it is built: clean, hardened, the same bytes twice, with what it promises."""
import glob
import json
import os
import re
import subprocess

import pytest

from building import ENV, needs
from harness.shell import TREE, build_dir, run

BINARIES = ("usr/sbin/picketd", "usr/bin/picket", "usr/libexec/cni/picket")


def one(where, pattern):
    found = [path for path in glob.glob(os.path.join(where, pattern)) if "dbgsym" not in path]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def files(deb, tmp_path_factory):
    """What it has, unpacked."""
    where = str(tmp_path_factory.mktemp("deb"))
    run(["dpkg-deb", "-x", one(deb, "picket_*.deb"), where])
    return where


def test_lintian_has_nothing_to_say(deb):
    needs("lintian")
    said = run(["lintian", "--allow-root", "-I", "--fail-on", "info,warning,error", one(deb, "*.changes")],
               env=ENV, check=False, timeout=300)
    assert (said.returncode, said.stdout.strip()) == (0, ""), said.stdout


def test_two_builds_are_the_same_bytes(deb, again):
    for path in glob.glob(os.path.join(deb, "*.deb")):
        with open(path, "rb") as mine, open(os.path.join(again, os.path.basename(path)), "rb") as other:
            assert mine.read() == other.read(), path


@pytest.mark.parametrize("binary", BINARIES)
def test_binaries_are_hardened(files, binary):
    """Control flow integrity is compiled in, but the note of it needs start files that have it too."""
    needs("hardening-check")
    said = run(["hardening-check", "--nocfprotection", os.path.join(files, binary)], check=False, env=ENV)
    assert said.returncode == 0, said.stdout
    assert "Immediate binding: yes" in said.stdout and "Position Independent Executable: yes" in said.stdout


def test_the_unit_exposes_little(files):
    needs("systemd-analyze")
    unit = os.path.join(files, "lib/systemd/system/picketd.service")
    said = run(["systemd-analyze", "security", "--offline=true", unit], check=False).stdout
    exposure = re.search(r"exposure level for picketd.service: ([0-9.]+)", said)
    assert exposure and float(exposure[1]) <= 3.5, said[-200:]


def shown(path):
    """A page as a terminal shows it."""
    needs("man")
    return subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", path], capture_output=True, text=True,
                          env={**ENV, "MANWIDTH": "100", "MANPAGER": "cat"}, check=True)


def test_each_program_and_file_has_its_page(files):
    pages = {name for _, _, names in os.walk(os.path.join(files, "usr/share/man")) for name in names}
    assert pages == {"picket.1.gz", "picketd.8.gz", "picket-cni.8.gz", "picketd.json.5.gz",
                     "picket.conflist.5.gz", "picket-policy.5.gz"}
    for name in pages:
        path = os.path.join(files, "usr/share/man", f"man{name.split('.')[-2]}", name)
        page = shown(path)
        assert page.stderr == "" and len(page.stdout.splitlines()) > 40, (name, page.stderr)
        assert "SEE ALSO" in page.stdout


def test_the_page_of_the_command_line_has_every_command(files):
    page = shown(os.path.join(files, "usr/share/man/man1/picket.1.gz")).stdout
    named = re.findall(r"^  ([a-z]+)", run([os.path.join(files, "usr/bin/picket"), "-help"]).stdout, re.M)
    assert len(named) > 20
    for noun in named:
        assert f"Usage: picket {noun}" in page, noun


def test_what_it_is_made_of_is_listed(files):
    """Each library that a program loads or contains, with the version that this machine has of it."""
    with open(os.path.join(files, "usr/share/picket/picket.spdx.json"), encoding="utf-8") as file:
        document = json.load(file)
    versions = {p["name"]: p["versionInfo"] for p in document["packages"]}
    how = {(r["relationshipType"], r["relatedSpdxElement"]) for r in document["relationships"]}
    assert document["spdxVersion"] == "SPDX-2.3" and document["creationInfo"]["created"].endswith("Z")
    for package, link in (("libbpf-dev", "STATIC_LINK"), ("libelf-dev", "STATIC_LINK"), ("libcurl4", "DYNAMIC_LINK"),
                          ("libc6", "DYNAMIC_LINK"), ("libcjson1", "DYNAMIC_LINK"), ("libyaml-0-2", "DYNAMIC_LINK")):
        source, version = run(["dpkg-query", "-W", "-f=${source:Package} ${source:Version}", package]).stdout.split()
        assert versions[source] == version and (link, f"SPDXRef-{source}") in how, (package, document)
    assert "NOASSERTION" not in versions.values()


def test_policies_in_consul_need_no_package_beside_it(deb, files):
    """picketd is linked with libcurl, the command line loads it: the package depends on it for both."""
    depends = run(["dpkg-deb", "-f", one(deb, "picket_*.deb"), "Depends"]).stdout
    package = run(["dpkg-query", "-S", "*/libcurl.so.4"]).stdout.split(":")[0]
    assert package.startswith("libcurl4") and re.search(rf"\b{package} ", depends), depends
    said = run([os.path.join(files, "usr/bin/picket"), "policy", "list", "-consul"], check=False,
               env={**ENV, "CONSUL_HTTP_ADDR": "http://127.0.0.1:1"})
    assert said.returncode == 2 and "127.0.0.1 port 1" in said.stderr, said


def test_uninstall_takes_out_what_install_put_there(tmp_path):
    needs("scdoc")
    with open(os.path.join(TREE, "packaging/files"), encoding="utf-8") as listed:
        wanted = {line.split()[2] for line in listed if not line.startswith("#")}
    for verb in ("install", "uninstall"):
        run(["make", "-C", TREE, "--no-print-directory", f"B={build_dir()}", f"DESTDIR={tmp_path}", verb], timeout=300)
        left = {os.path.relpath(os.path.join(at, name), tmp_path / "usr") for at, _, names in os.walk(tmp_path) for name in names}
        assert left == (wanted if verb == "install" else set()), verb
        for name in left & {name.removeprefix("usr/") for name in BINARIES}:
            assert ".symtab" not in run(["readelf", "-SW", tmp_path / "usr" / name]).stdout, name

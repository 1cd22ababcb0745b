# SPDX-License-Identifier: Apache-2.0
"""Each word of a `fix:` that stands for something is there: settings and their values, variables of the environment, other programs' commands."""
import os
import re
import shutil
import subprocess

import pytest

from fix_texts import fixes
from test_fixes import SCHEMAS
from test_symptoms import ROOT, read

# Words in quotes that are of Cilium's language, CNI's or Nomad's, and what a list shows; %s stands for one that the program puts there.
OTHERS = {"default", "portMappings", "bandwidth", "bridge", "reserved", "picket", "unreadable", "read", "write", "TCP", "UDP", "SCTP"}
EXAMPLE = re.compile(r"%|^[\d./:a-f-]+(/tcp)?$|^/sys/fs/cgroup$|^(nomad|meta|reserved):")
# Commands of other programs: each with the words by which it is tried here, without doing anything, or None where another test runs it (tests/e2e, test_firewall.py).
NOBODY = "pk-nobody-here"
COMMANDS = {"ip netns delete": [NOBODY], "ip link del": [NOBODY], "ip -d link show type vxlan": [], "ss -ulnp": [], "df": ["/"], "df -i": ["/"],
            "fuser": ["-V"], "modprobe": ["-V"], "mount -t bpf bpf": None, "sysctl -w": None, "sysctl": None, "dmesg": ["-V"],
            "nft insert rule": None, "nomad alloc stop": None, "nomad node status -self -json": None}
PROGRAMS = re.compile(r"(?<![\w\"./-])(?=ip (?:netns|link|-)|ss -|df\b|fuser|modprobe|u?mount -|sysctl|dmesg|nomad (?:alloc|node|job|system|agent)|consul (?:kv|acl)"
                      r"|systemctl|journalctl|nft |iptables|tc |chmod|chown|rm |kill )")
SYSCTL = re.compile(r"\b(net\.[\w.]+)=")


def names(schema, found):
    """Keys and values that a file of ours may have."""
    if isinstance(schema, dict):
        found.update(schema.get("properties", {}))
        found.update(value for value in schema.get("enum", []) if isinstance(value, str))
        found.add(schema.get("const"))
        for part in schema.values():
            names(part, found)
    elif isinstance(schema, list):
        for part in schema:
            names(part, found)
    return found


KNOWN = names(list(SCHEMAS.values()), set()) | OTHERS


def strange(texts):
    return {word for text in texts for word in re.findall(r'"([^" ]+)"', text) if word not in KNOWN and not EXAMPLE.search(word)}


def test_a_word_that_is_nothing_is_noticed():
    assert strange(['say "pol" or "pool": "10.0.0.0/8"', 'drop "attach", or say "mode": "box"']) == {"pol", "box"}


def test_each_word_in_quotes_is_a_key_or_a_value():
    assert len(fixes()) > 330
    assert not strange(fixes())


def test_each_setting_with_a_dot_is_one():
    named = {name for text in fixes() for name in re.findall(r"(?<![\w./*%-])[a-z]\w+\.[a-z]\w+\b(?![.(])", text)} - {"picketd.json", "picket.limits"}
    assert {"capacity.endpoints", "limits.jobMost"} <= named
    assert {tuple(name.split(".")) for name in named if not name.startswith("net.")} <= {
        (key, inner) for key, part in SCHEMAS["picketd"]["properties"].items() for inner in names(part, set())}


def test_each_variable_is_read_by_some_program():
    named = {name for text in fixes() for name in re.findall(r"\b(?:NOMAD|CONSUL|CNI|PICKET)_[A-Z_]+\b", text)}
    assert len(named) > 6
    listed = subprocess.run(["git", "ls-files", "lib/*.c", "controller/*.c", "cni/*.c", "cli/*.c"], cwd=ROOT, check=True, capture_output=True, text=True)
    code = "\n".join(map(read, listed.stdout.split()))
    assert not {name for name in named if f'"{name}"' not in code}


def test_each_page_is_there_and_each_release_is_what_the_code_asks_for():
    named = {name for text in fixes() for name in re.findall(r"\bdocs/[\w.-]+\.md", text)}
    assert len(named) > 2 and all(os.path.isfile(os.path.join(ROOT, name)) for name in named), named
    assert {release for text in fixes() for release in re.findall(r"Nomad (?:of )?(\d[\d.]*\d)", text)} == {"1.9.4"}


def commands():
    """{what stands where a program is named: the command of the table that it is}"""
    rest = [text[at.start():] for text in fixes() for at in PROGRAMS.finditer(text)]
    return {text: max((command for command in COMMANDS if re.match(re.escape(command) + r"(?![\w-])", text)), key=len, default=None) for text in rest}


def test_other_programs_commands_are_known_here():
    found = commands()
    assert not [text for text, command in found.items() if command is None]
    assert set(found.values()) == set(COMMANDS), "each row is of some fix"


@pytest.mark.parametrize("command", [command for command, words in COMMANDS.items() if words is not None])
def test_other_programs_take_it(command):
    argv = [*command.split(), *COMMANDS[command]]
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    if not shutil.which(argv[0], path=path):
        pytest.skip(f"no {argv[0]} here")
    done = subprocess.run([shutil.which(argv[0], path=path), *argv[1:]], capture_output=True, text=True, check=False, timeout=20)
    text = (done.stdout + done.stderr).lower()
    assert done.returncode == 0 or (NOBODY in argv and ("cannot find device" in text or "no such file" in text)), text
    assert "usage" not in text and "unknown" not in text, text


def test_each_sysctl_is_the_kernels():
    named = {name for text in fixes() for name in SYSCTL.findall(text)}
    assert len(named) == 4
    # The JIT's switch is the first network namespace's alone.
    assert not {name for name in named - {"net.core.bpf_jit_enable"} if not os.path.exists("/proc/sys/" + name.replace(".", "/"))}

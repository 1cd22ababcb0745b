# SPDX-License-Identifier: Apache-2.0
"""Policy files that are gone: meant, or a directory that isn't what it was."""
import concurrent.futures
import os
import signal

import pytest
from harness.shell import wait_for
from test_picketd_absence import DENY, Pair, held, in_force, is_denied, policies, stored


def clients(node):
    """The CLI's processes that wait for picketd."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"delete" in words and node.root.encode() in words and words[0].endswith(b"/picket"):
            found.append(pid)
    return found


def directory(node):
    return os.path.join(node.root, "etc/picket/policies.d")


@pytest.mark.parametrize("names", ["a", "abcde"])
def test_an_empty_directory_at_start(node, names):
    """A mount that isn't there yet."""
    for name in names:
        node.policy(f"{name}.json", DENY)
    node.start_picketd()
    pair = Pair(node)
    assert len(in_force(node)) == len(names)
    node.kill_picketd()
    os.rename(directory(node), directory(node) + ".mounted")
    os.makedirs(directory(node))
    node.start_picketd()
    wait_for(lambda: len(held(node)) == len(names), "the hold")
    assert "picket policy release file" in node.reasons("policy")[0]["fix"]
    assert not pair.passes()
    os.rmdir(directory(node))
    os.rename(directory(node) + ".mounted", directory(node))
    wait_for(lambda: held(node) == set(), "the mount", 30)
    assert len(in_force(node)) == len(names) and not pair.passes()


def test_a_directory_that_is_emptied_step_by_step(node):
    """rsync --delete: many acts of a process, one act of a person."""
    names = [f"{i}.json" for i in range(60)]
    for name in names:
        node.policy(name, DENY)
    node.start_picketd()
    pair = Pair(node)
    for name in names:
        os.unlink(os.path.join(directory(node), name))
    wait_for(lambda: len(held(node)) > 30, "the hold")
    assert len(in_force(node)) > 30
    is_denied(node, pair)
    node.picket("policy", "release", "file")
    wait_for(pair.passes, "what the operator said")


def test_policy_delete_is_a_word(node):
    for name in "abc":
        node.policy(f"{name}.json", DENY)
    node.start_picketd()
    pair = Pair(node)
    for name in "abc":
        node.picket("policy", "delete", name)
    wait_for(lambda: in_force(node) == set(), "all three")
    wait_for(pair.passes, "all three")
    assert held(node) == set()


def test_policy_deletes_at_once_are_words(node):
    """All files are gone in one look: without a word for each they would be held."""
    for name in "abcdef":
        node.policy(f"{name}.json", DENY)
    node.start_picketd()
    pair = Pair(node)
    node.picketd.send_signal(signal.SIGSTOP)		# so that none goes before another
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = [pool.submit(node.picket, "policy", "delete", name, check=False) for name in "abcdef"]
        wait_for(lambda: len(clients(node)) == 6, "all that ask where the directory is")
        node.picketd.send_signal(signal.SIGCONT)
        assert [d.result().returncode for d in done] == [0] * 6, [d.result().stderr for d in done]
    assert in_force(node) == set() == held(node)
    wait_for(pair.passes, "all of them")


def test_policy_delete_without_picketd_is_a_word_too(node):
    node.policy("a.json", DENY)
    node.start_picketd()
    wait_for(lambda: stored(node, "file/a"), "the stored document")
    node.kill_picketd()
    assert node.picket("policy", "delete", "a", check=False).returncode == 1	# no table has changed yet
    assert not stored(node, "file/a")
    node.start_picketd()
    assert policies(node) == {}


def test_a_file_deleted_by_hand_without_picketd(node):
    """Nobody saw it go; of one of several that is believed, of the only one it isn't."""
    node.policy("a.json", DENY)
    node.policy("b.json", DENY)
    node.start_picketd()
    wait_for(lambda: stored(node, "file/b"), "the stored documents")
    node.kill_picketd()
    node.policy("a.json", None)
    node.start_picketd()
    assert in_force(node) == {"file/b"} and held(node) == set()


def test_documents_that_move_are_not_gone(node):
    for name in "abcd":
        node.policy(f"{name}.json", {**DENY, "name": f"doc-{name}"})
    node.start_picketd()
    for name in "abcd":
        os.rename(os.path.join(directory(node), f"{name}.json"),
                  os.path.join(directory(node), f"moved-{name}.json"))
    wait_for(lambda: all("moved" in p["path"] for p in policies(node).values()), "the new places")
    wait_for(lambda: in_force(node) == {f"file/doc-{n}" for n in "abcd"}, "the documents")
    assert held(node) == set()


@pytest.mark.parametrize("there", (None, "a file"))
def test_a_directory_that_is_none(node, there):
    """What it said stays, status says how that is mended, and so it is."""
    node.policy("a.json", DENY)
    node.start_picketd()
    os.rename(directory(node), directory(node) + ".away")
    if there:
        with open(directory(node), "w", encoding="utf-8") as file:
            file.write(there)
    reason = wait_for(lambda: node.reasons("files"), "the reason", 30)[0]
    assert f"files does not answer ({directory(node)}: " in reason["text"] and reason["fix"] == "put the directory back, or mount it", reason
    assert in_force(node) == {"file/a"}
    if there:
        os.unlink(directory(node))
    os.rename(directory(node) + ".away", directory(node))
    wait_for(lambda: not node.reasons("files") and in_force(node) == {"file/a"}, "the directory", 30)


def test_a_conflist_that_is_named_and_gone(node):
    """A reload without it is refused, and goes once it is back."""
    node.start_picketd()
    conflist = os.path.join(node.root, "opt/cni/config", f"{node.options.network}.conflist")
    os.rename(conflist, conflist + ".away")
    node.picketd.send_signal(signal.SIGHUP)
    reason = wait_for(lambda: node.reasons("config"), "the refusal", 30)[0]
    assert f'"conflist" names {conflist}: No such file' in reason["text"] and "put it back" in reason["fix"], reason
    os.rename(conflist + ".away", conflist)
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: not node.reasons("config"), "the reload", 30)

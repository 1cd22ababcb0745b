# SPDX-License-Identifier: Apache-2.0
"""LICENSE, the SPDX lines, the licences that the kernel is told, and LICENSES/ say the same."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USER, KERNEL = "Apache-2.0", "GPL-2.0-only OR BSD-2-Clause"
WITHOUT = re.compile(r"(^tests/fuzz/corpus/|^tests/golden/|^tests/conflists/|^tests/recorded/|^tests/cilium/|^LICENSE|^bench/peers/"
                     r"|^VERSION$|^scripts/(packages|spelling)$|^packaging/debian/(copyright|picket\.templates)$|^\.|\.(md|json|conflist|hcl|mod|sum|allow)$)")


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))]


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def test_each_file_says_the_licence_of_its_folder():
    wrong = []
    for name in tracked():
        if WITHOUT.search(name):
            continue
        want = KERNEL if name.startswith(("bpf/", "include/picket/")) else USER
        said = re.search(r"SPDX-License-Identifier: (.*?)( \*/)?$", "\n".join(read(name).split("\n")[:4]), re.M)
        if not said or said.group(1) != want:
            wrong.append(f"{name}: {said.group(1) if said else 'nothing'}; fix: SPDX-License-Identifier: {want}")
    assert not wrong, "\n".join(wrong)


def test_the_kernel_is_told_both_licences():
    objects = [name for name in tracked() if re.fullmatch(r"bpf/.*\.bpf\.c", name)]
    assert objects
    for name in objects:
        assert 'LICENSE[] SEC("license") = "Dual BSD/GPL";' in read(name), name


def test_the_texts_are_there_and_named():
    for name in re.findall(r"[\w.-]+", f"{USER} {KERNEL}".replace(" OR ", " ")):
        assert len(read(f"LICENSES/{name}.txt")) > 1000
        assert name in read("LICENSE")

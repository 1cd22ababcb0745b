# SPDX-License-Identifier: Apache-2.0
"""The job files that we ship, read by the real Nomad."""
import glob
import os
import subprocess

import pytest

from harness.nomad import peer
from harness.shell import TREE

FILES = sorted(glob.glob(os.path.join(TREE, "examples/nomad/*.nomad.hcl")))
VALUES = {"vm": {"kernel": "/k", "disk": "/d"}, "host-tap": {"kernel": "/k", "initramfs": "/i", "run": "/r"}, "shop": {"namespace": "acme", "kernel": "/k", "initramfs": "/i", "run": "/r"}, "picket": {"tarball": "http://127.0.0.1/picket.tar.gz"}}


def validate(nomad, path):
    """No agent is asked: what one says of drivers isn't what these files are about."""
    name = os.path.basename(path).split(".")[0]
    words = [word for key, value in VALUES.get(name, {}).items() for word in ("-var", f"{key}={value}")]
    return subprocess.run([nomad, "job", "validate", "-address=http://127.0.0.1:1", *words, path], capture_output=True, text=True,
                          check=False)


def test_nomad_takes_each_job_file(tmp_path):
    nomad = peer("nomad")
    if not nomad:
        pytest.skip("no Nomad, and no Go to build one")
    assert len(FILES) == 7
    for path in FILES:
        done = validate(nomad, path)
        assert done.returncode == 0 and "Job validation successful" in done.stdout, (path, done.stdout, done.stderr)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        word = 'hook = "prestart"' if "type     = \"system\"" in text else 'mode = "cni/picket'
        assert word in text
        broken = tmp_path / os.path.basename(path)
        broken.write_text(text.replace(word, word.replace(" =", "d =")))
        assert validate(nomad, str(broken)).returncode
    formatted = subprocess.run([nomad, "fmt", "-check", *FILES], capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stdout

# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal."""
import fcntl
import os
import pty
import struct
import subprocess
import termios


def on_terminal(width, argv, env):
    """(what it prints on a terminal of that width, exit status)"""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(argv, stdout=theirs, stderr=subprocess.DEVNULL, stdin=theirs, env=env)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break		# EIO: the other side is closed
        if not part:
            break
        text += part
    os.close(ours)
    return text.replace(b"\r\n", b"\n"), process.wait(timeout=120)

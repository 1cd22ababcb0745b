# SPDX-License-Identifier: Apache-2.0
"""Raw frames: through a tap as a VMM sends them, through a packet socket as a process does."""
import array
import contextlib
import dataclasses
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import time

from . import netns
from .shell import SLOWER, wait_for

_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNGETIFF = 0x800454D2
_SIOCGIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8913, 0x1, 0x40
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
NEEDS_CSUM, GSO_NONE, GSO_TCPV4, GSO_UDP_L4, GSO_TCPV6 = 1, 0, 1, 5, 4
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
PATIENCE = 10 * SLOWER		# seconds for a frame that comes; who waits for none gives his own


@dataclasses.dataclass
class VnetHeader:
    """struct virtio_net_hdr: what the guest asks of the kernel for a frame."""
    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    def pack(self):
        return struct.pack("<BBHHHH", self.flags, self.gso_type, self.hdr_len, self.gso_size,
                           self.csum_start, self.csum_offset)


def _receive(fileno, read, want, timeout):
    """The first frame within timeout for which want(frame) holds, else None."""
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        if not select.select([fileno], [], [], left)[0]:
            return None
        frame = read()
        if want is None or want(frame):
            return frame
    return None


def _drain(fileno, read):
    frames = []
    while select.select([fileno], [], [], 0)[0]:
        frames.append(read())
    return frames


def await_carrier(fd, net, device):
    """
    What is sent to a tap that was just taken is lost until the kernel has heard of its carrier. That is said by a flag under the lock of all
    devices, which the last question waits for.
    """
    with netns.inside(net):
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def carries():
        flags, = struct.unpack_from("16xH", fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16s24x", device.encode())))
        return not flags & _IFF_UP or flags & _IFF_RUNNING

    with probe:
        wait_for(carries, f"the carrier of {device}", pause=0.001)
    fcntl.ioctl(fd, _TUNGETIFF, bytes(40))


def _drop(uid, gid):
    """Becomes another user; a root that does so keeps no capability."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _write_all(channel, fd):
    """Writes each frame that is asked for, and says what became of it, until nobody asks any more."""
    while data := channel.recv(1 << 17):
        error = 0
        try:
            os.write(fd, data)
        except OSError as failed:
            error = failed.errno
        channel.send(struct.pack("i", error))


class Flood:
    """A process with these credentials writes the frames to a tap as fast as it can; `frames` is gone through there."""

    def __init__(self, fd, credentials, frames):
        self.told, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._child(theirs, fd, credentials, frames))
        os.close(theirs)

    @staticmethod
    def _child(channel, fd, credentials, frames):
        netns.die_with_parent()
        if credentials:
            _drop(*credentials)
        head, written, begun = VnetHeader().pack(), 0, time.monotonic()
        for frame in frames:
            os.write(fd, head + frame)
            written += 1
        os.write(channel, struct.pack("Qd", written, time.monotonic() - begun))
        return 0

    def is_running(self):
        return not select.select([self.told], [], [], 0)[0]

    def wait(self):
        """(frames written, seconds); it ends with an error where one couldn't be."""
        told = os.read(self.told, 16)
        assert len(told) == 16, "the flood ended by an error of its writer"
        return struct.unpack("Qd", told)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.told)
        os.waitpid(self.pid, 0)


class Tap:
    """
    An opened tap. Where `credentials` (uid, gid) are given, a process that has those and no capability, as a VMM does, writes each frame; it
    has taken the interface, too, which its owner may, unless that is `handed` to it by root. The file is opened by root: the device node may
    be root's.
    """

    writer = None		# a channel to the process that writes; without one this process does

    def __init__(self, net, device="tap0", credentials=None, queues=1, handed=False):
        self.credentials = credentials
        self.writer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._child(theirs, net, device, credentials, queues, handed))
        theirs.close()
        fds = array.array("i")
        _, ancillary, _, _ = self.writer.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
        if not ancillary:
            error = self._end_writer()
            raise OSError(error, f"tap {device}: {os.strerror(error)}")
        fds.frombytes(ancillary[0][2][:fds.itemsize])
        self.fd = fds[0]
        if not credentials:
            self._end_writer()
        os.set_blocking(self.fd, True)
        await_carrier(self.fd, net, device)

    @staticmethod
    def _child(channel, net, device, credentials, queues, handed):
        for other in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, channel.fileno()}:
            with contextlib.suppress(OSError):		# what listed them
                os.close(other)
        try:
            netns.setns(net, netns.CLONE_NEWNET)
            fd = os.open("/dev/net/tun", os.O_RDWR)
            if credentials and not handed:
                _drop(*credentials)
            flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
            flags |= _IFF_MULTI_QUEUE if queues > 1 else 0
            fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
            if credentials and handed:
                _drop(*credentials)
            channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            if credentials:
                _write_all(channel, fd)
            return 0
        except OSError as error:
            return error.errno or 1

    def _end_writer(self):
        """What it ended with; 0 where there is none any more."""
        if not self.writer:
            return 0
        self.writer.close()
        self.writer = None
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def offload(self, flags):
        """TUNSETOFFLOAD: what the guest takes (1 csum, 2 TSO4, 4 TSO6, 0x20 USO4, 0x40 USO6)."""
        fcntl.ioctl(self.fd, _TUNSETOFFLOAD, flags)

    def takes_udp_segments(self):
        """May its writer leave UDP segmentation to this kernel? Linux 6.2 and up."""
        try:
            self.offload(0x61)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        self.offload(0)
        return True

    def send(self, frame, header=None):
        data = (header or VnetHeader()).pack() + bytes(frame)
        if not self.writer:
            os.write(self.fd, data)
            return
        self.writer.send(data)
        error, = struct.unpack("i", self.writer.recv(4))
        if error:
            raise OSError(error, os.strerror(error))

    def flood(self, frames):
        """A Flood of the frames, from a process like the writer."""
        return Flood(self.fd, self.credentials, frames)

    def _read(self):
        return os.read(self.fd, 70000)[10:]

    def receive(self, want=None, timeout=PATIENCE):
        """A frame without its vnet header, or None."""
        return _receive(self.fd, self._read, want, timeout)

    def drain(self):
        return _drain(self.fd, self._read)

    def discard(self):
        """Reads whatever waits, and keeps nothing of it."""
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 64)

    def close(self):
        self._end_writer()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def switch(net, device, command, value):
    """ETHTOOL_S...: one of a device's offloads, 1 on or 0 off."""
    words = array.array("I", [command, value])
    request = struct.pack("16sP", device.encode(), words.buffer_info()[0]).ljust(40, b"\0")
    with netns.inside(net), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8946, request)		# SIOCETHTOOL


class PacketSocket:
    """
    AF_PACKET on one device: send, and see what arrives at and leaves the device. vnet: frames are
    sent with a vnet header, as by a process with CAP_NET_RAW that plays the VMM.
    """

    def __init__(self, net, device, vnet=False):
        self.head = VnetHeader().pack() if vnet else b""
        with netns.inside(net):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)		# of no device until it is bound to one
            if vnet:
                self.socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
            self.socket.bind((device, _ETH_P_ALL))

    def send(self, frame, header=None):
        self.socket.send((header.pack() if header else self.head) + bytes(frame))

    def _read(self):
        return self.socket.recv(70000)[len(self.head):]

    def receive(self, want=None, timeout=PATIENCE):
        return _receive(self.socket.fileno(), self._read, want, timeout)

    def drain(self):
        return _drain(self.socket.fileno(), self._read)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

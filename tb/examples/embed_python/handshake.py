#!/usr/bin/env python3
"""A conversation with the adapter by hand-made segments: SYN, ACK, data, the adapter's death, data, FIN.

    handshake.py LIBUNDERSTUDY.SO [SCENARIO.toml]

Prints each segment with its time and says what held; exit status 0 if all did.
"""
import ctypes
import errno
import struct
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
WAKE_FRAME = 1
LISTENING_PORT, OUR_PORT = 80, 40000
OUR_MAC = bytes.fromhex("020000000077")
US, MS = 10**6, 10**9  # picoseconds


class Address(ctypes.Structure):
    _fields_ = [("ip", ctypes.c_uint8 * 16), ("port", ctypes.c_uint16)]


class Station(ctypes.Structure):
    _fields_ = [("mac", ctypes.c_uint8 * 6), ("prefix", ctypes.c_uint8), ("ip", ctypes.c_uint8 * 16)]


class Frame(ctypes.Structure):
    _fields_ = [("at", ctypes.c_int64), ("bytes", ctypes.c_uint32), ("adapter", ctypes.c_uint32),
                ("missed", ctypes.c_uint64)]


class Platform:
    """The C interface with exceptions in place of -1."""

    def __init__(self, library, scenario=None, overrides=()):
        self.lib = ctypes.CDLL(library)
        self.lib.understudy_message.restype = ctypes.c_char_p
        self.lib.understudy_violation.restype = ctypes.c_char_p
        self.lib.understudy_create.restype = ctypes.c_void_p
        for name in ("now", "violations", "take_frame", "read", "write"):
            getattr(self.lib, "understudy_" + name).restype = ctypes.c_int64
        sets = (ctypes.c_char_p * len(overrides))(*[o.encode() for o in overrides])
        made = self.lib.understudy_create(scenario and scenario.encode(), sets, ctypes.c_size_t(len(overrides)))
        if not made:
            raise OSError(self.lib.understudy_errno(), self.lib.understudy_message().decode())
        self.handle = ctypes.c_void_p(made)

    def __getattr__(self, name):
        function = getattr(self.lib, "understudy_" + name)

        def call(*arguments):
            result = function(self.handle, *arguments)
            if result == -1:
                raise OSError(self.lib.understudy_errno(), self.lib.understudy_message().decode())
            return result

        return call

    def put(self, frame, at=None):
        when = self.now() if at is None else at
        self.put_frame(ctypes.c_int64(when), frame, ctypes.c_size_t(len(frame)))

    def take(self, within=50 * MS):
        """The next frame an adapter emits and what is known of it; None if there is none in that time."""
        until = ctypes.c_int64(self.now() + within)
        if not self.wait(until, WAKE_FRAME):
            return None
        room, info = ctypes.create_string_buffer(9600), Frame()
        n = self.take_frame(room, ctypes.c_size_t(len(room)), ctypes.byref(info))
        return room.raw[:n], info

    def receive(self, fd):
        room = ctypes.create_string_buffer(65536)
        n = self.read(fd, room, ctypes.c_size_t(len(room)))
        return room.raw[:n]

    def send(self, fd, data):
        return self.write(fd, data, ctypes.c_size_t(len(data)))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Peer:
    """The far end of one connection: it knows TCP's header, and nothing else of TCP."""

    def __init__(self, platform):
        host = Station()
        platform.host(ctypes.byref(host))
        self.platform = platform
        self.host_mac, self.host_ip = bytes(host.mac), bytes(host.ip)[12:]
        self.ip = self.host_ip[:3] + bytes([self.host_ip[3] ^ 1])

    def segment(self, flags, seq, ack=0, data=b""):
        head = struct.pack("!HHIIBBHHH", OUR_PORT, LISTENING_PORT, seq, ack, 5 << 4, flags, 65535, 0, 0)
        pseudo = self.ip + self.host_ip + struct.pack("!HH", 6, len(head) + len(data))
        head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(head) + len(data), 1, 0x4000, 64, 6, 0, self.ip,
                         self.host_ip)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return self.host_mac + OUR_MAC + b"\x08\x00" + ip + head + data

    def say(self, flags, seq, ack=0, data=b""):
        print("%12.3f us  >      %s" % (self.platform.now() / US, text(flags, seq, ack, data)))
        self.platform.put(self.segment(flags, seq, ack, data))

    def hear(self, within=50 * MS):
        """The next TCP segment to us: adapter, flags, seq, ack, data. Questions for our address are answered."""
        while taken := self.platform.take(within):
            frame, info = taken
            kind = frame[12:14]
            if kind == b"\x08\x06" and frame[20:22] == b"\0\x01" and frame[38:42] == self.ip:
                self.platform.put(frame[6:12] + OUR_MAC + frame[12:20] + b"\0\x02" + OUR_MAC + self.ip +
                                  frame[22:32])
            if kind != b"\x08\x00" or frame[23] != 6:
                continue
            end = 14 + struct.unpack("!H", frame[16:18])[0]
            seq, ack = struct.unpack("!II", frame[38:46])
            data = frame[34 + (frame[46] >> 4) * 4:end]
            print("%12.3f us    < %s  %s" % (info.at / US, "ABCDEFGHIJKLMNOP"[info.adapter],
                                            text(frame[47], seq, ack, data)))
            return info.adapter, frame[47], seq, ack, data
        return None


    def hear_ack_of(self, number):
        """The next segment that acknowledges everything before `number`: window updates may come first."""
        while heard := self.hear():
            if heard[3] == number:
                return heard
        return None


def text(flags, seq, ack, data):
    names = [n for b, n in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK")) if flags & b]
    return "%-12s seq %d ack %d len %d" % (" ".join(names), seq, ack, len(data))


def main():
    platform = Platform(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None, ["topology.adapters=2"])
    peer = Peer(platform)
    held = True

    def expect(what, truth):
        nonlocal held
        held = held and bool(truth)
        print("%s %s" % ("held   " if truth else "FAILED ", what))

    listener = platform.socket()
    local = Address()
    local.port = LISTENING_PORT
    platform.bind(listener, ctypes.byref(local))
    platform.listen(listener, 4)
    platform.advance(ctypes.c_int64(platform.now() + 100 * US))  # the adapter has taken the listener

    ours = 1000
    peer.say(SYN, ours)
    _, flags, theirs, ack, _ = peer.hear()
    expect("SYN is answered by SYN and ACK", flags == SYN | ACK and ack == ours + 1)
    ours, theirs = ours + 1, theirs + 1
    peer.say(ACK, ours, theirs)
    platform.advance(ctypes.c_int64(platform.now() + 100 * US))
    fd = platform.accept(listener, None)
    expect("the host accepts the connection", fd >= 0)

    peer.say(PSH | ACK, ours, theirs, b"hello")
    ours += 5
    answer = peer.hear_ack_of(ours)
    expect("data is acknowledged", answer and answer[0] == 0)
    expect("and lies in host memory by then", platform.receive(fd) == b"hello")
    try:
        platform.receive(fd)
        expect("reading once more says EAGAIN", False)
    except OSError as e:
        expect("reading once more says EAGAIN", e.errno == errno.EAGAIN)

    print("           adapter A dies")
    platform.kill(-1)
    answer = peer.hear()
    expect("its substitute asks where we stand", answer and answer[0] == 1)
    peer.say(ACK, ours, theirs)
    peer.say(PSH | ACK, ours, theirs, b" again")
    ours += 6
    answer = peer.hear_ack_of(ours)
    expect("data is acknowledged by the substitute", answer and answer[0] == 1)
    expect("and lies in host memory by then", platform.receive(fd) == b" again")

    platform.send(fd, b"goodbye")
    _, _, seq, _, data = peer.hear()
    expect("the host's bytes come in order", seq == theirs and data == b"goodbye")
    theirs += len(data)
    peer.say(FIN | ACK, ours, theirs)
    ours += 1
    expect("FIN is acknowledged", peer.hear_ack_of(ours))
    expect("the host reads the end of the stream", platform.receive(fd) == b"")
    platform.close(fd)
    _, flags, seq, _, _ = peer.hear()
    expect("the host's FIN follows its bytes", flags & FIN and seq == theirs)
    peer.say(ACK, ours, theirs + 1)
    platform.advance(ctypes.c_int64(platform.now() + 1 * MS))
    expect("nothing more is said", peer.hear(1 * MS) is None)
    expect("no monitor was violated", platform.violations() == 0)
    platform.destroy()
    print("verdict: " + ("every segment as RFC 9293 wants it" if held else "something did not hold"))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

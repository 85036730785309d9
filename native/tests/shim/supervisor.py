"""Sees, holds and answers a program's calls, by a seccomp filter that asks us (SECCOMP_RET_USER_NOTIF).

Who pays for an instance cannot be asked of the kernel; it is the real user id of the thread that makes it, so that is
looked at while the thread waits for our answer. A watch that is refused looks to the program like one too many.
"""

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import threading

ARM = platform.machine() == "aarch64"
SECCOMP = 277 if ARM else 317
CALLS = {20: "create", 21: "ctl"} if ARM else {213: "create", 291: "create", 233: "ctl"}
OTHERS = ({22: "epoll_wait", 57: "close", 129: "kill", 157: "setsid", 221: "execve", 260: "wait4"} if ARM else
          {232: "epoll_wait", 281: "epoll_wait", 3: "close", 62: "kill", 112: "setsid", 59: "execve", 61: "wait4"})
OTHERS.update({424: "pidfd_send_signal", 434: "pidfd_open", 437: "openat2"})
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
ADD = 1  # EPOLL_CTL_ADD
libc = ctypes.CDLL(None, use_errno=True)


class Call:
    def __init__(self, data):
        self.id, self.tid, _, number = struct.unpack_from("=QIIi", data)
        self.name = CALLS.get(number) or OTHERS[number]
        self.args = args = struct.unpack_from("=6Q", data, 32)
        self.fd = args[2]
        self.adds = self.name == "ctl" and args[1] == ADD
        with open(f"/proc/{self.tid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        self.comm = status["Name"].strip()
        self.inside = len(status["NSpid"].split()) > 1  # a pid namespace below ours
        self.uids = [int(uid) for uid in status["Uid"].split()]  # real, effective, saved, of the file system


class Supervisor:
    """`refuses(call)` true: the call gets ENOSPC instead of being made. `others`: names of calls that are seen besides
    those about epoll. `holds(call)` true: who makes it waits there until it is let go, or killed."""

    def __init__(self, refuses=lambda call: False, others=(), holds=lambda call: False):
        self.refuses, self.holds, self.made, self.held = refuses, holds, [], []
        self.calls = [*CALLS, *(number for number, name in OTHERS.items() if name in others)]
        self.mine, theirs = socket.socketpair()
        # Above what the child makes of its descriptors.
        self.theirs = socket.socket(fileno=fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 120))
        theirs.close()

    def enter(self):
        """In the child, before its execve. What it starts is asked about as well."""
        jumps = [(0x15, len(self.calls) - i, 0, number) for i, number in enumerate(self.calls)]
        code = [(0x20, 0, 0, 0)] + jumps + [(6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x7FC00000)]
        raw = b"".join(struct.pack("=HBBI", *line) for line in code)
        held = ctypes.create_string_buffer(raw)
        program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(held))
        listener = libc.syscall(SECCOMP, 1, 8, ctypes.c_char_p(program))  # SET_MODE_FILTER, NEW_LISTENER
        if listener < 0:
            raise OSError(ctypes.get_errno(), "seccomp")
        socket.send_fds(self.theirs, [b"."], [listener])
        os.close(listener)

    def serve(self):
        """In the parent, before the child makes its first call."""
        self.theirs.close()
        self.listener = socket.recv_fds(self.mine, 1, 1)[1][0]
        self.mine.close()
        threading.Thread(target=self._answer_all, daemon=True).start()

    def _answer_all(self):
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while all(events & select.POLLIN for _, events in poll.poll()):
            self._answer_one()
        os.close(self.listener)

    def _answer_one(self):
        data = array.array("B", bytes(80))
        try:
            fcntl.ioctl(self.listener, RECEIVE, data, True)
            call = Call(data.tobytes())
            holds = self.holds(call)
        except (FileNotFoundError, ProcessLookupError):
            return  # it was killed meanwhile
        if call.name == "create":
            self.made.append(call)
        if holds:
            self.held.append(call)
        else:
            self._answer(call, errno.ENOSPC if self.refuses(call) else 0)

    def _answer(self, call, error):
        try:
            fcntl.ioctl(self.listener, ANSWER, struct.pack("=QqiI", call.id, 0, -error, 0 if error else 1))
        except FileNotFoundError:
            pass  # killed meanwhile, too

    def let_go(self, call, error=0):
        """One that is held: it is made, or fails."""
        self.held.remove(call)
        self._answer(call, error)

"""A FUSE file system on which chosen names never answer, so that whoever asks for one can be looked at."""

import errno
import os
import struct
import threading

from harness import mount, umount

INIT, LOOKUP, GETATTR, STATFS, FORGET, BATCH_FORGET, INTERRUPT = 26, 1, 3, 17, 2, 42, 36


class SlowFiles:
    """Every name that begins with "hang" is looked up for ever; there are no others."""

    def __init__(self, path):
        self.path = path
        self.asked = threading.Event()
        os.makedirs(path, exist_ok=True)
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        mount("slow", path, "fuse", 0, f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _reply(self, unique, body=b"", error=0):
        try:
            os.write(self.fd, struct.pack("IiQ", 16 + len(body), -error, unique) + body)
        except OSError:
            pass  # whoever asked has been killed

    def _serve(self):
        root = struct.pack("QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        while True:
            try:
                request = os.read(self.fd, 1 << 17)
            except OSError:
                return
            _, opcode, unique = struct.unpack_from("IIQ", request)
            if opcode == INIT:
                self._reply(unique, struct.pack("IIIIHHIIHHIIII", 7, 31, 0, 0, 16, 12, 65536, 1, 0, 0, 0, 0, 0, 0) + b"\0" * 16)
            elif opcode == GETATTR:
                self._reply(unique, struct.pack("QII", 3600, 0, 0) + root)
            elif opcode == STATFS:
                self._reply(unique, b"\0" * 80)
            elif opcode == LOOKUP and request[40:].startswith(b"hang"):
                self.asked.set()
            elif opcode == INTERRUPT:  # whoever asked is being killed
                self._reply(struct.unpack_from("Q", request, 40)[0], error=errno.EINTR)
            elif opcode == LOOKUP:
                self._reply(unique, error=errno.ENOENT)
            elif opcode not in (FORGET, BATCH_FORGET):
                self._reply(unique, error=errno.ENOSYS)

    def close(self):
        with open("/proc/self/mountinfo") as file:
            device = next((line.split()[2] for line in file if line.split()[4] == self.path), None)
        if device is not None:
            try:
                with open(f"/sys/fs/fuse/connections/{device.split(':')[1]}/abort", "w") as file:
                    file.write("1")
            except OSError:
                pass
        umount(self.path)
        os.close(self.fd)

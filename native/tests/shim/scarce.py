"""A shim, and all that is forked from it, whose memory runs out when a test says so: see scarce.h."""

import mmap
import os
import struct
import tempfile


class Scarcity:
    program = os.environ["BERTH_SCARCE_SHIM"]

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="berth-scarcity-")
        self.file.truncate(4096)
        self.page = mmap.mmap(self.file.fileno(), 4096)
        self.environment = {"BERTH_SCARCITY": self.file.name}

    def refuse(self, nth):
        self.page[:8] = struct.pack("ii", nth, 0)

    def felt(self):
        """How many were refused, and that it is over."""
        _, refused = struct.unpack("ii", self.page[:8])
        self.page[:8] = bytes(8)
        return refused

    def close(self):
        self.page.close()
        self.file.close()

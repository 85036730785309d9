"""What sanitizers have found in a shim and its children: see sanitizer_reports.cc. A shim without sanitizers has no reports."""

import os
import struct

SANITIZED = os.environ.get("BERTH_SHIM_SANITIZED") == "1"


def environment(base):
    """Of a shim that is to be started."""
    if not SANITIZED:
        return {}
    path = f"{base}/sanitizer-reports"
    with open(path, "w"):
        pass
    return {"BERTH_SANITIZER_REPORTS": path}


def found(base):
    """All reports, or "" """
    if not SANITIZED:
        return ""
    with open(f"{base}/sanitizer-reports", "rb") as file:
        data = file.read()
    assert len(data) > 8, "the shim has not opened the file of its reports: it is not the one with sanitizers"
    used, = struct.unpack("N", data[:8])
    return data[8:8 + used].decode(errors="replace")

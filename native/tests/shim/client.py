"""Speaks with a shim: frames out, frames in, answers matched by stream."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.environ["BERTH_SHIM_PB2"])
import shim_pb2 as pb  # noqa: E402


class ShimError(Exception):
    def __init__(self, error):
        super().__init__(f"{pb.Error.Kind.Name(error.kind)} {error.step} {error.path} {error.errno} {error.message}")
        self.kind = pb.Error.Kind.Name(error.kind)
        self.step, self.path, self.errno, self.message = error.step, error.path, error.errno, error.message


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream, self.events, self.responses = -1, [], {}

    def close(self):
        self.socket.close()

    def send(self, fds=(), **call):
        self.stream += 2
        payload = pb.Request(**call).SerializeToString()
        frame = struct.pack(">IIBB", len(payload), self.stream, 1, 0) + payload
        if fds:
            sent = socket.send_fds(self.socket, [frame], list(fds))
        else:
            sent = 0
        self.socket.sendall(frame[sent:])
        return self.stream

    def _read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise EOFError("the shim closed the connection")
            data += chunk
        return data

    def read_frame(self):
        length, stream, kind, _ = struct.unpack(">IIBB", self._read(10))
        payload = self._read(length)
        if kind == 2:
            self.responses[stream] = pb.Response.FromString(payload)
        else:
            self.events.append((stream, pb.Event.FromString(payload)))

    def wait(self, stream):
        while stream not in self.responses:
            self.read_frame()
        response = self.responses.pop(stream)
        which = response.WhichOneof("result")
        if which == "error":
            raise ShimError(response.error)
        return getattr(response, which)

    def call(self, fds=(), **call):
        return self.wait(self.send(fds, **call))

    def wait_event(self, test, timeout=10):
        self.socket.settimeout(timeout)
        try:
            while True:
                for i, (_, event) in enumerate(self.events):
                    found = test(event)
                    if found:
                        del self.events[i]
                        return found
                self.read_frame()
        finally:
            self.socket.settimeout(None)

    def wait_exit(self, container, timeout=10):
        def test(event):
            if event.WhichOneof("what") == "container_exited" and event.container_exited.container_id == container:
                return event.container_exited
        return self.wait_event(test, timeout)

    def wait_exec(self, exec_id, timeout=10):
        def test(event):
            if event.WhichOneof("what") == "exec_exited" and event.exec_exited.exec_id == exec_id:
                return event.exec_exited
        return self.wait_event(test, timeout)

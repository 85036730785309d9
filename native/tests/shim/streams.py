"""The client's side of an exec or an attach: his ends of the pipes and his connection."""

import os
import select
import time

from harness import Pod, pb


class Talk:
    def __init__(self, pod, stdin=True, stdout=True, stderr=True):
        self.client = pod.connect()
        self.null = os.open("/dev/null", os.O_RDWR)
        self.stdin = self.stdout = self.stderr = None
        self.remote = []
        if stdin:
            end, self.stdin = os.pipe()
            self.remote.append(end)
        for name, wanted in (("stdout", stdout), ("stderr", stderr)):
            if wanted:
                mine, end = os.pipe()
                setattr(self, name, mine)
                self.remote.append(end)
        streams = iter(self.remote)
        self.passed = [next(streams) if wanted else self.null for wanted in (stdin, stdout, stderr)]

    def _ask(self, **call):
        try:
            stream = self.client.send(self.passed, **call)
            for fd in self.remote + [self.null]:
                os.close(fd)
            self.remote, self.null = [], None
            self.answer = self.client.wait(stream)
        except BaseException:
            self.close()
            raise
        return self

    @classmethod
    def exec(cls, pod, container, args, tty=False, stdin=True, stdout=True, stderr=True, **process):
        Pod.counter += 1
        talk = cls(pod, stdin, stdout, stderr and not tty)
        talk.exec_id = f"t{Pod.counter}"
        encoded = pod.process(args, tty=tty, **process).SerializeToString()
        return talk._ask(exec=pb.Exec(container_id=container, exec_id=talk.exec_id, process=encoded, tty=tty))

    @classmethod
    def attach(cls, pod, container, stdin=True, stdout=True, stderr=True):
        return cls(pod, stdin, stdout, stderr)._ask(attach=pb.Attach(container_id=container))

    # --- his side

    def write(self, data):
        while data:
            data = data[os.write(self.stdin, data):]

    def end_stdin(self):
        os.close(self.stdin)
        self.stdin = None

    def read_until(self, text, timeout=10, fd=None):
        """Everything up to and with `text`; more than that only as it came with it."""
        end, data = time.time() + timeout, b""
        while text not in data:
            if not select.select([fd or self.stdout], [], [], max(0, end - time.time()))[0]:
                raise TimeoutError(f"{text} did not come, but {data[-500:]}")
            chunk = os.read(fd or self.stdout, 65536)
            if not chunk:
                raise EOFError(f"{text} did not come, but {data[-500:]}")
            data += chunk
        return data

    def read_all(self, timeout=20, fd=None):
        end, chunks = time.time() + timeout, []
        while True:
            if not select.select([fd or self.stdout], [], [], max(0, end - time.time()))[0]:
                raise TimeoutError(f"no end after {b''.join(chunks)[-500:]}")
            chunk = os.read(fd or self.stdout, 65536)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)

    def converse(self, data):
        """Writes everything, ends stdin, and gives all that comes meanwhile."""
        os.set_blocking(self.stdin, False)
        got, at = [], 0
        while True:
            reads, writes, _ = select.select([self.stdout], [self.stdin] if self.stdin is not None else [], [], 20)
            if not reads and not writes:
                raise TimeoutError("nothing goes on")
            if writes:
                at += os.write(self.stdin, data[at:at + 65536])
                if at == len(data):
                    self.end_stdin()
            if reads:
                chunk = os.read(self.stdout, 65536)
                if not chunk:
                    return b"".join(got)
                got.append(chunk)

    def exit_code(self, timeout=10):
        return self.client.wait_exec(self.exec_id, timeout).exit_code

    def ended(self, timeout=10):
        """Waits for the end of an attach: whether it was cut for being slow."""
        def test(event):
            return event.WhichOneof("what") == "attach_ended" and event.attach_ended
        return self.client.wait_event(test, timeout).slow

    def close(self):
        self.client.close()
        for fd in [self.stdin, self.stdout, self.stderr, self.null] + self.remote:
            if fd is not None:
                os.close(fd)
        self.stdin = self.stdout = self.stderr = self.null = None
        self.remote = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

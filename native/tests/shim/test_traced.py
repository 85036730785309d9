"""Processes that a tracer holds when they have ended: their parent is not told of that by the kernel."""

import ctypes
import os
import signal
import time
import unittest

from harness import Pod, ShimError, alive, eventually, libc, pb
from streams import Talk

SEIZE = 0x4206


class Tracer:
    """Traces a process and never waits for it, as a container could that may trace."""

    def __init__(self, pid):
        told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            done = libc.ptrace(SEIZE, ctypes.c_long(pid), None, None)
            os.write(tell, b"+" if done == 0 else b"-")
            time.sleep(1000)
            os._exit(0)
        os.close(tell)
        assert os.read(told, 1) == b"+", "it cannot be traced"
        os.close(told)

    def leave(self):
        if self.pid != 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = 0


def is_zombie(pid):
    return os.path.exists(f"/proc/{pid}") and not alive(pid)


class Traced(unittest.TestCase):
    def setUp(self):
        self.pod = Pod(pid=pb.NS_POD)
        self.addCleanup(self.pod.close)

    def trace(self, pid):
        tracer = Tracer(pid)
        self.addCleanup(tracer.leave)  # before the pod is closed
        return tracer

    def held(self, pid, tracer):
        """It is dead, and not reaped; once its tracer is gone it is, and nobody is taken for it."""
        self.assertTrue(is_zombie(pid))
        number = self.pod.up("later")
        tracer.leave()
        self.assertTrue(eventually(lambda: not os.path.exists(f"/proc/{pid}")))
        states = {entry.id: entry.pid for entry in self.pod.state().containers}
        self.assertEqual(states["later"], number)
        self.assertTrue(alive(number))

    def test_a_container_that_is_killed(self):
        pid = self.pod.up("c")
        tracer = self.trace(pid)
        self.pod.kill("c", all=True)
        ended = self.pod.client.wait_exit("c")
        self.assertEqual((ended.exit_code, ended.signal), (137, 9))
        self.held(pid, tracer)
        self.pod.client.call(delete_container=pb.DeleteContainer(id="c"))

    def test_a_container_that_ends_by_itself_keeps_its_exit_code(self):
        pid = self.pod.up("c", ["sh", "-c", "read line; exit 7"], request=dict(stdin=True))
        tracer = self.trace(pid)
        with Talk.attach(self.pod, "c", stdout=False, stderr=False) as talk:
            talk.write(b"go\n")
            ended = self.pod.client.wait_exit("c")
        self.assertEqual((ended.exit_code, ended.signal), (7, 0))
        self.held(pid, tracer)

    def test_a_container_whose_command_cannot_be_run(self):
        for pid_mode in (None, pb.NS_NEW):  # with a second process and without
            name = f"c{pid_mode}"
            pid = self.pod.create(name, ["no-such"], pid=pid_mode).pid
            self.trace(pid)
            self.pod.client.socket.settimeout(10)
            with self.assertRaises(ShimError) as caught:
                self.pod.begin(name)
            self.assertEqual(caught.exception.errno, 2)
            self.assertEqual(self.pod.client.wait_exit(name).exit_code, 127)

    def test_a_container_that_dies_before_it_is_started(self):
        pid = self.pod.create("c", ["sleep", "1000"]).pid
        self.trace(pid)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.pod.client.wait_exit("c").exit_code, 137)

    def test_an_exec_that_ends(self):
        self.pod.up("c")
        with Talk.exec(self.pod, "c", ["sh", "-c", "read line; exit 5"]) as talk:
            pid = talk.answer.pid
            tracer = self.trace(pid)
            talk.write(b"go\n")
            self.assertEqual(talk.exit_code(), 5)
            self.held(pid, tracer)

    def test_an_exec_that_runs_out_of_time(self):
        self.pod.up("c")
        client, started, *outputs = self.pod.exec("c", ["sleep", "1000"], timeout_ms=1000, exec_id="late", wait=False)
        self.addCleanup(lambda: (client.close(), [os.close(fd) for fd in outputs]))
        tracer = self.trace(started.pid)
        found = client.wait_event(lambda event: event.WhichOneof("what") == "exec_exited" and event.exec_exited)
        self.assertEqual((found.exit_code, found.timed_out), (137, True))
        self.held(started.pid, tracer)

    def test_a_pod_that_is_shut_down_with_its_tracer(self):
        pid = self.pod.up("c")
        self.pod.up("tracer")
        tracer = self.trace(pid)
        with open(f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/tracer/tasks", "w") as file:
            file.write(str(tracer.pid))
        self.pod.client.socket.settimeout(9)  # after ten seconds the shim gives up
        self.pod.shutdown()

    def test_nothing_is_left_of_many_that_were_held(self):
        self.pod.up("c")
        fds = len(os.listdir(f"/proc/{self.pod.pid}/fd"))
        for _ in range(20):
            with Talk.exec(self.pod, "c", ["sleep", "1000"]) as talk:
                tracer = self.trace(talk.answer.pid)
                os.kill(talk.answer.pid, signal.SIGKILL)
                self.assertEqual(talk.exit_code(), 137)
                tracer.leave()
        self.assertTrue(eventually(lambda: not [pid for pid in self.pod.descendants() if is_zombie(pid)]))
        self.assertTrue(eventually(lambda: len(os.listdir(f"/proc/{self.pod.pid}/fd")) <= fds))


if __name__ == "__main__":
    unittest.main()

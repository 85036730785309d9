"""Whom the kernel charges for the shim's watches, and what happens when there are none left."""

import os
import unittest

from harness import Pod, ShimError, eventually, pb
from streams import Talk
from supervisor import Supervisor

SECRET = 1 << 31
CAP_SETUID = 7


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.split(":", 1) for line in file)


class Charged(unittest.TestCase):
    def test_nobody_else_has_the_user_whose_watches_they_are(self):
        supervisor = Supervisor()
        pod = Pod(supervisor=supervisor)
        try:
            self.assertTrue(eventually(lambda: len(supervisor.made) == 2))  # the shim's and the log pump's
            real = [call.uids[0] for call in supervisor.made]
            for call in supervisor.made:
                self.assertGreaterEqual(call.uids[0], SECRET)
                self.assertEqual(call.uids[1:], [0, 0, 0])
            self.assertNotEqual(real[0], real[1])
            mine = int(status_of("self")["CapEff"], 16)
            for pid in {call.tid for call in supervisor.made} & (pod.descendants() | {pod.pid}):
                self.assertEqual(status_of(pid)["Uid"].split(), ["0"] * 4)
                self.assertEqual(int(status_of(pid)["CapEff"], 16), mine)
            self.assertEqual(pod.run("c", ["true"]).exit_code, 0)
        finally:
            pod.close()

    def test_a_shim_that_may_not_change_its_user_serves_all_the_same(self):
        supervisor = Supervisor()
        pod = Pod(supervisor=supervisor, without_caps=(CAP_SETUID,), start=False)  # which is all it could do
        try:
            self.assertEqual([call.uids for call in supervisor.made], [[0] * 4])
            pod.state()
            with open(pod.log) as file:
                self.assertEqual(file.read(), "")
        finally:
            pod.close()


class NoneLeft(unittest.TestCase):
    """Each watch in its turn: refused, it is an error of the call or the end of the stream."""

    @classmethod
    def setUpClass(cls):
        cls.refused = None
        cls.supervisor = Supervisor(lambda call: call.adds and cls.refused is not None and cls.refused(call))
        cls.pod = Pod(supervisor=cls.supervisor)
        cls.pod.up("c", ["sh", "-c", "while :; do sleep 1; done"])
        cls.pod.up("stdin", ["cat"], request=dict(stdin=True))

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def setUp(self):
        self.addCleanup(self.refuse, None)

    def refuse(self, which):
        type(self).refused = which

    def in_pump(self, call):
        return call.comm == "berth-log"

    def after(self, allowed):
        """Refuses the shim's own watches once so many have been allowed."""
        left = [allowed]

        def which(call):
            left[0] -= 1
            return not self.in_pump(call) and left[0] < 0
        self.refuse(which)

    def fails(self, step, act):
        with self.assertRaises(ShimError) as caught:
            act()
        self.assertEqual((caught.exception.errno, caught.exception.step), (28, step))

    def test_a_log_that_cannot_be_read_fails_the_create(self):
        self.refuse(self.in_pump)
        self.fails("log", lambda: self.pod.create("unread", ["true"]))
        self.refuse(None)
        self.assertEqual(self.pod.run("unread", ["true"]).exit_code, 0)

    def test_a_create_whose_child_cannot_be_heard_fails(self):
        for allowed, step in enumerate(("pidfd_open", "epoll")):  # its end, and its words
            self.after(allowed)
            self.fails(step, lambda: self.pod.create("unheard", ["true"]))

    def test_an_exec_that_cannot_be_heard_fails(self):
        client = self.pod.connect()
        self.addCleanup(client.close)
        self.pod.state(client)
        null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, null)
        process = self.pod.process(["true"]).SerializeToString()
        for allowed, step in enumerate(("pidfd_open", "epoll")):
            self.after(allowed)
            self.fails(step, lambda: client.call((null, null, null), exec=pb.Exec(
                container_id="c", exec_id="unheard", process=process)))

    def test_an_exec_whose_terminal_cannot_be_read_or_written_fails(self):
        for allowed in range(3, 7):  # the connection and two for the exec; then two pipes and two copies of the master
            self.after(allowed)
            self.fails("terminal", lambda: Talk.exec(self.pod, "c", ["sleep", "996"], tty=True))
            self.refuse(None)
            self.assertTrue(eventually(lambda: "sleep" not in self.commands_of_execs()), allowed)

    def commands_of_execs(self):
        def command(pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    return file.read().split(b"\0")
            except OSError:
                return []
        return ["sleep" for pid in self.pod.descendants() if b"996" in command(pid)]

    def test_who_cannot_be_attached_is_told(self):
        self.after(1)  # his connection
        self.fails("attach", lambda: Talk.attach(self.pod, "stdin", stdout=False, stderr=False))
        self.refuse(self.in_pump)
        self.fails("log", lambda: Talk.attach(self.pod, "stdin", stdin=False))

    def test_an_input_that_cannot_go_on_ends_the_attach(self):
        with Talk.attach(self.pod, "stdin", stderr=False) as talk:
            self.pod.kill("stdin", 19)  # SIGSTOP: its pipe gets full, and the client's is not looked at any more
            before = self.watched()
            os.set_blocking(talk.stdin, False)

            def is_held_back():
                try:
                    os.write(talk.stdin, b"x" * 65536)
                except BlockingIOError:
                    pass
                return self.watched() < before
            self.assertTrue(eventually(is_held_back))
            self.after(0)
            self.pod.kill("stdin", 18)
            self.assertFalse(talk.ended())

    def watched(self):
        pid = self.pod.pid
        epoll = next(fd for fd in os.listdir(f"/proc/{pid}/fd") if "eventpoll" in os.readlink(f"/proc/{pid}/fd/{fd}"))
        with open(f"/proc/{pid}/fdinfo/{epoll}") as file:
            return sum(line.startswith("tfd:") for line in file)

    def test_a_connection_that_cannot_be_heard_is_closed(self):
        self.after(0)
        client = self.pod.connect()
        client.socket.settimeout(5)
        self.assertEqual(client.socket.recv(1), b"")

    def test_a_listener_that_cannot_be_heard_again_is_tried_until_it_can(self):
        refusals = []

        def which(call):
            again = call.fd == 3 and self.full and len(refusals) < 3
            refusals.extend([call] * again)
            return again
        self.full = False
        supervisor = Supervisor(lambda call: call.adds and which(call))
        pod = Pod(supervisor=supervisor, nofile=600)
        try:
            clients = [pod.connect() for _ in range(500)]
            pod.state(clients[-1])
            self.full = True
            clients += [pod.connect() for _ in range(120)]  # more than there are descriptors for
            self.assertTrue(eventually(lambda: len(refusals) == 3))
            for client in clients:
                client.close()
            pod.state(pod.connect())
        finally:
            pod.close()

    def test_a_pod_that_cannot_be_heard_does_not_start(self):
        refused = [True]
        starts = []

        def which(call):
            starts.append(call)
            return call.comm != "berth-log" and refused[0] and len(starts) >= first[0]
        first = [1 << 30]
        supervisor = Supervisor(lambda call: call.adds and which(call))
        pod = Pod(supervisor=supervisor, start=False)
        try:
            own = len(starts)
            first[0] = own + 2  # the pump's socket is watched first
            with self.assertRaises(ShimError) as caught:
                pod.start()
            self.assertEqual(caught.exception.errno, 28)
            refused[0] = False
            pod.start()
        finally:
            pod.close()


if __name__ == "__main__":
    unittest.main()

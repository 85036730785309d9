"""Clients that join a container's streams."""

import os
import signal
import time
import unittest

from harness import Pod, ShimError, comm, eventually, pb
from streams import Talk


class Attach(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def fds(self, pid=None):
        return len(os.listdir(f"/proc/{pid or self.pod.pid}/fd"))

    def pump(self):
        return next(pid for pid in self.pod.descendants() if comm(pid) == "berth-log")

    def up(self, name, script, stdin=True, once=False, **values):
        self.pod.up(name, ["sh", "-c", script], request={"stdin": stdin, "stdin_once": once}, **values)

    # --- output

    def test_output_from_now_on_on_both_streams_until_the_container_ends(self):
        self.up("both", "echo before; read x; echo out; echo err >&2; exit 5")
        self.assertTrue(eventually(lambda: "before" in self.pod.output("both")))
        with Talk.attach(self.pod, "both") as talk:
            talk.write(b"go\n")
            self.assertEqual((talk.read_all(), talk.read_all(fd=talk.stderr)), (b"out\n", b"err\n"))
            self.assertFalse(talk.ended())
            self.assertEqual(self.pod.client.wait_exit("both").exit_code, 5)
        self.assertEqual(self.pod.output("both"), "before\nout\n")

    def test_the_last_byte_is_delivered_before_the_end_is_told(self):
        for i in range(10):
            self.up(f"last{i}", "read x; head -c 60000 /dev/zero; echo -n end")
            with Talk.attach(self.pod, f"last{i}") as talk:
                talk.write(b"go\n")
                self.assertFalse(talk.ended())
                self.assertEqual(len(talk.read_all()), 60003)

    def test_a_client_that_is_behind_at_the_end_gets_the_rest(self):
        self.up("rest", "read x; head -c 300000 /dev/zero")
        with Talk.attach(self.pod, "rest") as talk:
            talk.write(b"go\n")
            self.pod.client.wait_exit("rest")
            with self.assertRaises(TimeoutError):
                talk.ended(timeout=0.2)
            self.assertEqual(len(talk.read_all()), 300_000)
            self.assertFalse(talk.ended())

    def test_a_slow_client_is_cut_and_told_and_nobody_waits_for_him(self):
        self.up("flood", "read x; seq 1 300000; echo end")
        with Talk.attach(self.pod, "flood") as slow, Talk.attach(self.pod, "flood", stdin=False) as other:
            slow.write(b"go\n")
            self.assertEqual(self.pod.client.wait_exit("flood", 30).exit_code, 0)
            self.assertTrue(slow.ended())
            self.assertLess(len(slow.read_all()), 1_500_000)
            other.read_all()
        lines = [line for _, _, line in self.pod.records("flood")]
        self.assertEqual(lines, [b"%d" % n for n in range(1, 300_001)] + [b"end"])

    def test_several_clients_get_the_same(self):
        self.up("many", "read x; seq 1 2000")
        talks = [Talk.attach(self.pod, "many", stdin=i == 0) for i in range(16)]
        with self.assertRaises(ShimError) as caught:
            Talk.attach(self.pod, "many")
        self.assertEqual(caught.exception.kind, "LIMIT")
        talks[0].write(b"go\n")
        expected = "".join(f"{n}\n" for n in range(1, 2001)).encode()
        for talk in talks:
            self.assertEqual(talk.read_all(), expected)
            self.assertFalse(talk.ended())
            talk.close()

    def test_without_a_log_output_reaches_whoever_is_attached(self):
        for tty in (False, True):
            self.up(f"nolog{tty}", "while read x; do echo got $x; done", log=False, tty=tty)
            with Talk.attach(self.pod, f"nolog{tty}", stderr=False) as talk:
                talk.write(b"word\n")
                talk.read_until(b"got word")
                self.pod.kill(f"nolog{tty}")
                talk.read_all()
                self.assertFalse(talk.ended())

    def test_log_rotation_and_clients_that_come_and_go_lose_and_repeat_nothing(self):
        self.up("rotate", "seq 1 200000 | while read n; do echo $n; done")
        parts, path = [], self.pod.log_path("rotate")
        for i in range(60):
            if i % 3 == 0:
                parts.append(f"{path}.{i}")
                os.rename(path, parts[-1])
                self.pod.client.call(reopen_log=pb.ReopenLog(container_id="rotate"))
            talk = Talk.attach(self.pod, "rotate", stdin=False)
            lines = talk.read_until(b"\n").split(b"\n")[1:-1]
            self.assertEqual([int(n) for n in lines], list(range(int(lines[0]), int(lines[0]) + len(lines))) if lines else [])
            talk.close()
            if self.pod.state().containers[-1].state == pb.EXITED:
                break
        self.pod.kill("rotate")
        self.pod.client.wait_exit("rotate", 60)
        found = [int(line) for part in parts + [path] for _, tag, line in self.pod.records("rotate", part) if tag == "F"]
        self.assertEqual(found, list(range(1, len(found) + 1)))
        self.assertGreater(i, 5)

    def test_a_pump_that_dies_costs_clients_nothing_but_what_it_held(self):
        self.up("survive", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.005; done")
        with Talk.attach(self.pod, "survive", stdin=False) as talk:
            talk.read_until(b"20\n")
            first = self.pump()
            os.kill(first, signal.SIGKILL)
            rest = talk.read_all()
            self.assertTrue(rest.endswith(b"199\n200\n"), rest[-100:])
            self.assertFalse(talk.ended())

    # --- input

    def test_a_megabyte_goes_through_stdin_and_back(self):
        data = os.urandom(1 << 20)
        self.up("cat", "cat", once=True)
        with Talk.attach(self.pod, "cat") as talk:
            self.assertEqual(talk.converse(data), data)
            self.assertFalse(talk.ended())
        self.assertEqual(self.pod.client.wait_exit("cat").exit_code, 0)

    def test_a_container_that_does_not_read_holds_its_client_back(self):
        self.up("lazy", "read go; wc -c", once=True)
        with Talk.attach(self.pod, "lazy") as talk:
            self.pod.kill("lazy", signal.SIGSTOP)
            os.set_blocking(talk.stdin, False)
            sent = os.write(talk.stdin, b"\n" + b"x" * 65535)
            try:
                while sent < 1_000_000:
                    sent += os.write(talk.stdin, b"x" * 4096)
            except BlockingIOError:
                pass
            self.assertLess(sent, 400_000)
            self.pod.kill("lazy", signal.SIGCONT)
            os.set_blocking(talk.stdin, True)
            talk.write(b"x" * (1_000_000 - sent))
            talk.end_stdin()
            self.assertEqual(talk.read_all(), b"999999\n")

    def test_stdin_once_ends_with_the_first_client_that_had_it(self):
        for how in ("end", "leave"):
            self.up(how, "while read x; do echo got $x; done; echo over; sleep 1000", once=True)
            with Talk.attach(self.pod, how, stdin=False) as listener:
                with Talk.attach(self.pod, how, stdin=False):
                    pass  # had no stdin
                talk = Talk.attach(self.pod, how)
                talk.write(b"word\n")
                listener.read_until(b"got word\n")
                talk.write(b"last\n")
                talk.end_stdin() if how == "end" else talk.close()
                self.assertIn(b"over", listener.read_until(b"over"))
                talk.close()
                with Talk.attach(self.pod, how) as late:  # nobody reads him; it is no error
                    self.pod.kill(how)
                    self.assertFalse(late.ended())

    def test_without_stdin_once_the_next_client_goes_on(self):
        self.up("next", "while read x; do echo got $x; done; echo over")
        for i in range(3):
            with Talk.attach(self.pod, "next") as talk:
                talk.write(b"word%d\n" % i)
                talk.end_stdin()
                self.assertEqual(talk.read_all(), b"got word%d\n" % i)  # and leaves, having said all
                self.assertFalse(talk.ended())
        self.pod.kill("next")
        self.assertNotIn("over", self.pod.output("next"))

    def test_two_clients_interleave(self):
        self.up("two", "while read x; do echo got $x; done")
        with Talk.attach(self.pod, "two") as one, Talk.attach(self.pod, "two") as other:
            one.write(b"a\n")
            one.read_until(b"got a\n")
            other.write(b"b\n")
            one.read_until(b"got b\n")
            one.write(b"c\n")
            self.assertEqual(other.read_until(b"got c\n"), b"got a\ngot b\ngot c\n")

    def test_a_container_without_stdin_reads_none(self):
        self.up("deaf", "cat; echo eof; sleep 1000", stdin=False)
        with Talk.attach(self.pod, "deaf") as talk:
            self.assertTrue(eventually(lambda: "eof" in self.pod.output("deaf")))
            with self.assertRaises(BrokenPipeError):
                while True:
                    talk.write(b"x" * 4096)

    def test_a_container_that_closes_its_stdin_frees_its_client(self):
        self.up("closer", "read x; exec <&-; echo closed; sleep 1000")
        with Talk.attach(self.pod, "closer") as talk:
            talk.write(b"go\n")
            talk.read_until(b"closed")
            with self.assertRaises(BrokenPipeError):
                while True:
                    talk.write(b"x" * 4096)

    # --- terminals

    def test_a_containers_terminal(self):
        self.up("term", "while read x; do echo got $x; done", tty=True, once=True)
        with Talk.attach(self.pod, "term", stderr=False) as talk:
            talk.write(b"word\n")
            self.assertIn(b"word\r\ngot word\r\n", talk.read_until(b"got word\r\n"))
            self.pod.client.call(resize_tty=pb.ResizeTty(container_id="term", columns=100, rows=30))
        with Talk.attach(self.pod, "term", stderr=False) as talk:  # a terminal has no end of input
            talk.end_stdin()
            self.pod.exec("term", ["sh", "-c", "echo more > /dev/pts/0"])
            talk.read_until(b"more")
        with Talk.attach(self.pod, "term", stderr=False) as talk:
            talk.write(b"\x04")
            talk.read_all()
            self.assertFalse(talk.ended())

    # --- trouble

    def test_clients_that_die_leave_nothing_and_hurt_nobody(self):
        self.up("stays", "while :; do echo tick; sleep 0.01; done")
        time.sleep(0.05)
        shim, pump = self.fds(), self.fds(self.pump())
        for i in range(300):
            talk = Talk.attach(self.pod, "stays", stdin=i % 2 == 0, stderr=i % 3 == 0)
            if i % 4 == 0:
                talk.read_until(b"tick")
            talk.close()
        self.assertTrue(eventually(lambda: self.fds() <= shim and self.fds(self.pump()) <= pump),
                        (shim, self.fds(), pump, self.fds(self.pump())))
        self.assertEqual(self.pod.state().containers[-1].state, pb.RUNNING)

    def test_a_client_that_is_killed_ends_what_depends_on_it_and_nothing_else(self):
        self.up("kept", "while read x; do echo got $x; done; echo over; sleep 1000", once=True)
        ready, said = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                attach = Talk.attach(self.pod, "kept")
                attach.write(b"last words\n")
                attach.read_until(b"got last words")
                term = Talk.exec(self.pod, "kept", ["sh", "-c", "trap 'echo > /hung-up; exit' HUP; echo on; while :; do sleep 0.05; done"],
                                 tty=True)
                term.read_until(b"on")
                plain = Talk.exec(self.pod, "kept", ["sh", "-c", "cat; echo > /went-on; sleep 995"])
                os.write(said, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(said)
        self.assertEqual(os.read(ready, 1), b"x")
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.assertTrue(eventually(lambda: "over" in self.pod.output("kept")))
        for file in ("/hung-up", "/went-on"):
            self.assertTrue(eventually(lambda: self.pod.exec("kept", ["test", "-e", file])[0] == 0), file)
        self.assertEqual(next(c.state for c in self.pod.state().containers if c.id == "kept"), pb.RUNNING)

    def test_a_client_that_reads_no_more_may_still_write(self):
        self.up("writer", "read a; read b; echo $b > /told; sleep 1000")
        with Talk.attach(self.pod, "writer") as talk:
            for fd in (talk.stdout, talk.stderr):
                os.close(fd)
            talk.stdout = talk.stderr = None
            self.pod.exec("writer", ["sh", "-c", "echo noise > /proc/1/fd/1"])
            talk.write(b"one\ntwo\n")
            self.assertTrue(eventually(lambda: self.pod.exec("writer", ["test", "-e", "/told"])[0] == 0))
            self.pod.kill("writer")
            self.assertFalse(talk.ended())

    def test_removing_the_container_ends_the_slowest(self):
        self.up("gone", "read x; head -c 400000 /dev/zero")
        with Talk.attach(self.pod, "gone") as talk:
            talk.write(b"go\n")
            self.pod.client.wait_exit("gone")
            self.pod.client.call(delete_container=pb.DeleteContainer(id="gone"))
            self.assertFalse(talk.ended())
            talk.read_all()

    def test_only_to_what_runs(self):
        self.pod.run("over", ["true"])
        for name, kind in (("over", "STATE"), ("nobody", "NOT_FOUND")):
            with self.assertRaises(ShimError) as caught:
                Talk.attach(self.pod, name)
            self.assertEqual(caught.exception.kind, kind)
        with self.assertRaises(ShimError) as caught:
            self.pod.client.call(attach=pb.Attach(container_id="over"))
        self.assertEqual(caught.exception.kind, "STATE")
        self.up("bare", "sleep 1000")
        with self.assertRaises(ShimError) as caught:
            self.pod.client.call(attach=pb.Attach(container_id="bare"))
        self.assertEqual(caught.exception.kind, "BAD_MESSAGE")

    def test_before_its_start_nothing_is_missed(self):
        self.pod.create("early", ["echo", "first"])
        with Talk.attach(self.pod, "early") as talk:
            self.pod.begin("early")
            self.assertEqual(talk.read_all(), b"first\n")
            self.assertFalse(talk.ended())


if __name__ == "__main__":
    unittest.main()

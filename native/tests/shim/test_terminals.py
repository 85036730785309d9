"""Execs with a terminal: what a client sees of it, and what is left when he goes."""

import os
import signal
import time
import unittest

from harness import Pod, ShimError, comm, eventually, pb
from reports import SANITIZED
from streams import Talk


class Terminals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.init = cls.pod.up("c", ["sh", "-c", "while :; do sleep 1; done"])

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def fds(self):
        return len(os.listdir(f"/proc/{self.pod.pid}/fd"))

    def test_is_a_terminal_of_the_container_in_the_wanted_size(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "test -t 0 && test -t 1 && test -t 2 && tty && stty size && id -u"],
                       tty=True, rows=33, columns=99) as talk:
            self.assertEqual(talk.read_all().replace(b"\r", b"").split(b"\n")[1:], [b"33 99", b"0", b""])
            self.assertEqual(talk.exit_code(), 0)

    def test_belongs_to_its_user(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "stat -L -c %u /proc/self/fd/0; echo ok > /dev/tty"], tty=True,
                       uid=1000, gid=1000) as talk:
            self.assertEqual(talk.read_all().split(), [b"1000", b"ok"])

    def test_echoes_and_takes_control_characters(self):
        with Talk.exec(self.pod, "c", ["cat"], tty=True) as talk:
            talk.write(b"hello\n")
            self.assertEqual(talk.read_until(b"hello\r\nhello\r\n"), b"hello\r\nhello\r\n")
            talk.write(b"\x03")
            self.assertEqual(talk.exit_code(), 128 + signal.SIGINT)
            talk.read_all()

    def test_resize_is_seen_and_signalled(self):
        script = "trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.05; done"
        with Talk.exec(self.pod, "c", ["sh", "-c", script], tty=True, rows=24, columns=80) as talk:
            talk.read_until(b"ready")
            self.pod.client.call(resize_tty=pb.ResizeTty(exec_id=talk.exec_id, columns=132, rows=43))
            self.assertIn(b"43 132", talk.read_all())
            self.assertEqual(talk.exit_code(), 7)

    def test_resize_of_a_containers_terminal(self):
        self.pod.up("term", ["sh", "-c", "while [ \"$(stty size)\" != '43 132' ]; do sleep 0.05; done; echo seen"], tty=True)
        self.pod.client.call(resize_tty=pb.ResizeTty(container_id="term", columns=132, rows=43))
        self.assertEqual(self.pod.client.wait_exit("term").exit_code, 0)
        self.assertIn("seen", self.pod.output("term"))

    def test_wrong_sizes_and_targets(self):
        for kind, values in (("BAD_MESSAGE", dict(container_id="c", columns=0, rows=1)),
                             ("BAD_MESSAGE", dict(container_id="c", columns=1, rows=65536)),
                             ("BAD_MESSAGE", dict(columns=1, rows=1)),
                             ("BAD_MESSAGE", dict(container_id="c", exec_id="e", columns=1, rows=1)),
                             ("STATE", dict(container_id="c", columns=1, rows=1)),
                             ("NOT_FOUND", dict(container_id="nobody", columns=1, rows=1)),
                             ("NOT_FOUND", dict(exec_id="nobody", columns=1, rows=1))):
            with self.assertRaises(ShimError) as caught:
                self.pod.client.call(resize_tty=pb.ResizeTty(**values))
            self.assertEqual(caught.exception.kind, kind, values)
        with self.assertRaises(ShimError) as caught:
            Talk.exec(self.pod, "c", ["true"], tty=True, rows=70_000, columns=1)
        self.assertEqual(caught.exception.kind, "BAD_MESSAGE")

    def test_the_end_of_stdin_hangs_nothing_up(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "read line; echo got $line; sleep 0.3; echo still here"], tty=True) as talk:
            talk.write(b"word\n")
            talk.end_stdin()
            self.assertIn(b"still here", talk.read_all())
            self.assertEqual(talk.exit_code(), 0)

    def test_a_client_that_does_not_read_holds_the_process_back(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "stty raw; head -c 3000000 /dev/zero; echo; echo end"], tty=True) as talk:
            time.sleep(0.3)
            with self.assertRaises(TimeoutError):
                talk.exit_code(timeout=0.2)  # it waits for us
            data = talk.read_all()
            self.assertEqual(len(data), 3_000_000 + len("\nend\n"))
            self.assertTrue(data.endswith(b"\nend\n"))
            self.assertEqual(talk.exit_code(), 0)

    def test_a_process_that_does_not_read_holds_its_client_back(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "stty raw -echo; echo on; sleep 0.5; head -c 1000000 | wc -c"],
                       tty=True) as talk:
            talk.read_until(b"on")
            os.set_blocking(talk.stdin, False)
            sent = 0
            try:
                while sent < 1_000_000:
                    sent += os.write(talk.stdin, b"x" * min(4096, 1_000_000 - sent))
            except BlockingIOError:
                pass
            self.assertLess(sent, 400_000)
            os.set_blocking(talk.stdin, True)
            talk.write(b"x" * (1_000_000 - sent))
            self.assertIn(b"1000000", talk.read_all())

    def test_a_client_that_goes_hangs_up(self):
        for how in ("stdout", "connection", "killed"):
            talk = Talk.exec(self.pod, "c", ["sh", "-c", "trap 'touch /hup-%s; exit' HUP; echo ready; while :; do sleep 0.05; done" % how],
                             tty=True)
            talk.read_until(b"ready")
            if how == "stdout":
                os.close(talk.stdout)
                talk.stdout = None
            elif how == "connection":
                talk.client.close()
            else:
                talk.close()
            self.assertTrue(eventually(lambda: self.pod.exec("c", ["test", "-e", f"/hup-{how}"])[0] == 0), how)
            talk.close()

    def test_a_background_child_keeps_the_terminal_only_as_long_as_its_client(self):
        before = self.fds()
        with Talk.exec(self.pod, "c", ["sh", "-c", "trap '' HUP; sleep 997 & echo gone"], tty=True) as talk:
            talk.read_until(b"gone")
            self.assertEqual(talk.exit_code(), 0)
        self.assertTrue(eventually(lambda: self.fds() <= before))
        self.pod.exec("c", ["sh", "-c", "kill $(ps | grep 'sleep 997' | grep -v grep | { read pid rest; echo $pid; })"])

    # Closes the terminal, lets the test look while nobody has it open, and opens it again.
    LEAVES = ("t=$(tty); exec <&- >&- 2>&-; touch /left-%s; while [ ! -e /back-%s ]; do sleep 0.05; done; "
              "read line <$t; echo got $line >$t; exec <&- >&- 2>&-; while [ ! -e /over-%s ]; do sleep 0.05; done")

    def left_alone(self, name, init, reader, talk):
        """What a client sees of a terminal that nobody had open for a while."""
        root = f"/proc/{init}/root"
        self.assertTrue(eventually(lambda: os.path.exists(f"{root}/left-{name}")))
        self.assertTrue(eventually(lambda: not self.users_of_terminals()))
        reads = self.reads_of(reader)
        talk.write(b"typed\n")
        time.sleep(0.3)
        self.assertLess(self.reads_of(reader) - reads, 30)  # a hang-up is told once
        open(f"{root}/back-{name}", "w").close()
        said = talk.read_until(b"got typed\r\n")
        reads = self.reads_of(reader)
        time.sleep(0.3)
        self.assertLess(self.reads_of(reader) - reads, 30)
        open(f"{root}/over-{name}", "w").close()
        return said

    def terminals(self, major, pids):
        """Descriptors of these processes that are such a device: 136 is a user side, 5 a master."""
        found = []
        for pid in pids:
            try:
                devices = [os.stat(f"/proc/{pid}/fd/{fd}").st_rdev for fd in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            found += [one for one in devices if os.major(one) == major]
        return found

    def users_of_terminals(self):
        return self.terminals(136, self.pod.descendants())

    def reads_of(self, pid):
        with open(f"/proc/{pid}/io") as file:
            return int(next(line for line in file if line.startswith("syscr:")).split()[1])

    def test_an_exec_may_leave_its_terminal_for_a_while(self):
        for name in ("x1", "x2"):
            with Talk.exec(self.pod, "c", ["sh", "-c", self.LEAVES.replace("%s", name)], tty=True) as talk:
                self.left_alone(name, self.init, self.pod.pid, talk)
                self.assertEqual(talk.exit_code(), 0)
                talk.read_all()  # its end ends the stream, which was quiet when it came

    def test_a_container_may_leave_its_terminal_for_a_while(self):
        pump = next(pid for pid in self.pod.descendants() if comm(pid) == "berth-log")
        init = self.pod.create("leaves", ["sh", "-c", "read go; " + self.LEAVES.replace("%s", "c")], tty=True,
                               request=dict(stdin=True)).pid
        with Talk.attach(self.pod, "leaves", stderr=False) as talk:
            self.pod.begin("leaves")
            talk.write(b"go\n")
            self.left_alone("c", init, pump, talk)
            self.assertEqual(self.pod.client.wait_exit("leaves").exit_code, 0)
            talk.read_all()
        self.assertIn("got typed", self.pod.output("leaves"))
        # Now that it has ended nobody will open it again.
        self.assertTrue(eventually(lambda: not self.terminals(5, [self.pod.pid, pump])))

    def test_output_after_the_exit_is_delivered_to_the_last_byte(self):
        for i in range(20):
            with Talk.exec(self.pod, "c", ["sh", "-c", "stty raw; head -c 60000 /dev/zero; echo -n end"], tty=True) as talk:
                self.assertEqual(talk.exit_code(), 0)
                self.assertEqual(len(talk.read_all()), 60003)

    def test_thousands_of_failed_ones_leave_nothing(self):
        def fail(times):
            null = os.open("/dev/null", os.O_RDWR)
            for i in range(times):
                for values in (dict(args=["no-such"]), dict(args=["true"], cwd="/not/there")):
                    with self.assertRaises(ShimError):
                        Talk.exec(self.pod, "c", tty=True, **values)
                with self.assertRaises(ShimError):
                    Talk.exec(self.pod, "nobody", ["true"], tty=True)
            os.close(null)

        def private():
            with open(f"/proc/{self.pod.pid}/smaps_rollup") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
        fail(50)
        self.pod.state()
        fds, kib = self.fds(), private()
        fail(1000)
        self.assertTrue(eventually(lambda: self.fds() <= fds), (fds, self.fds()))
        if not SANITIZED:  # their quarantine of freed memory would be measured
            self.assertLess(private(), kib + 64)
        self.assertTrue(eventually(lambda: not [d for d in os.listdir(
            f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/c") if d.startswith("exec-")]))


class Pipes(unittest.TestCase):
    """Without a terminal the process has the client's pipes themselves."""

    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.pod.up("c", ["sleep", "1000"])

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def test_a_megabyte_of_anything_through_cat(self):
        data = os.urandom(1 << 20)
        with Talk.exec(self.pod, "c", ["cat"]) as talk:
            self.assertEqual(talk.converse(data), data)
            self.assertEqual(talk.exit_code(), 0)

    def test_streams_that_nobody_wants(self):
        with Talk.exec(self.pod, "c", ["sh", "-c", "cat; echo out; echo err >&2"], stdin=False, stdout=False) as talk:
            self.assertEqual(talk.exit_code(), 0)
            self.assertEqual(os.read(talk.stderr, 100), b"err\n")


if __name__ == "__main__":
    unittest.main()

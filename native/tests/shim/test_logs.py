"""The log pump: format, reopen, drain, trouble."""

import os
import signal
import time
import unittest

from harness import Pod, ShimError, comm, eventually, mount, pb, umount
from reports import SANITIZED


def busy(path):
    """Whether it cannot be unmounted yet."""
    try:
        umount(path)
        return False
    except OSError:
        return True


class Logs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def reopen(self, name):
        self.pod.client.call(reopen_log=pb.ReopenLog(container_id=name))

    def test_both_streams_line_by_line(self):
        self.pod.run("both", ["sh", "-c", "echo one; echo two >&2; printf 'a\\n\\nb\\n'"])
        records = self.pod.records("both")
        self.assertEqual([(t, l) for s, t, l in records if s == "stdout"],
                         [("F", b"one"), ("F", b"a"), ("F", b""), ("F", b"b")])
        self.assertEqual([(t, l) for s, t, l in records if s == "stderr"], [("F", b"two")])
        self.assertEqual(os.stat(self.pod.log_path("both")).st_mode & 0o777, 0o640)

    def test_long_lines_are_split_and_the_rest_is_partial(self):
        self.pod.run("long", ["sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; printf tail"])
        records = [(t, len(l)) for _, t, l in self.pod.records("long")]
        self.assertEqual(records, [("P", 16384), ("P", 16384), ("F", 40000 - 32768), ("P", 4)])

    def test_a_line_written_in_pieces_is_one_record(self):
        self.pod.run("pieces", ["sh", "-c", "printf a; sleep 0.1; printf b; sleep 0.1; echo c"])
        self.assertEqual(self.pod.records("pieces"), [("stdout", "F", b"abc")])

    def test_everything_is_there_when_the_exit_is_told(self):
        for i in range(5):
            self.pod.run(f"all{i}", ["sh", "-c", "seq 1 20000"])
            self.assertEqual(self.pod.output(f"all{i}").split(), [str(n) for n in range(1, 20001)])

    def test_reopen_under_load_loses_and_repeats_nothing(self):
        self.pod.up("load", ["sh", "-c", "seq 1 300000; seq 300001 300500 | while read n; do echo $n; done"])
        parts, path = [], self.pod.log_path("load")
        for i in range(40):
            parts.append(f"{path}.{i}")
            os.rename(path, parts[-1])
            try:
                self.reopen("load")
            except ShimError:  # it has ended meanwhile, and its log with it
                self.assertEqual(self.pod.state().containers[-1].state, pb.EXITED)
                os.rename(parts.pop(), path)
                break
            time.sleep(0.01)
            if self.pod.state().containers[-1].state == pb.EXITED and i > 5:
                break
        self.pod.client.wait_exit("load", 60)
        lines = [line for part in parts + [path] for _, tag, line in self.pod.records("load", part)]
        self.assertEqual(lines, [str(n).encode() for n in range(1, 300501)])
        self.assertGreater(len([p for p in parts if os.path.getsize(p)]), 3)

    def test_reopen_that_fails_keeps_the_old_file(self):
        self.pod.up("stays", ["sh", "-c", "echo before; while ! [ -e /go ]; do sleep 0.05; done; echo after"])
        path = self.pod.log_path("stays")
        self.assertTrue(eventually(lambda: "before" in self.pod.output("stays")))
        os.rename(path, path + ".old")
        os.symlink("/etc/passwd", path)  # never followed
        with self.assertRaises(ShimError) as caught:
            self.reopen("stays")
        self.assertEqual((caught.exception.step, caught.exception.path), ("log", path))
        self.pod.exec("stays", ["touch", "/go"])
        self.pod.client.wait_exit("stays")
        self.assertEqual([line for _, _, line in self.pod.records("stays", path + ".old")], [b"before", b"after"])

    def test_log_that_cannot_be_opened_fails_create(self):
        os.makedirs(self.pod.log_path("nolog"))
        with self.assertRaises(ShimError) as caught:
            self.pod.create("nolog", ["true"])
        self.assertEqual(caught.exception.step, "log")
        self.assertEqual([c.id for c in self.pod.state().containers if c.id == "nolog"], [])

    def test_background_children_go_on_writing(self):
        # In the pod's pid namespace what is left behind is killed; its last words are still there.
        self.pod.run("parent", ["sh", "-c", "(while :; do echo tick; sleep 0.02; done) & sleep 0.5"])
        self.assertGreaterEqual(self.pod.output("parent").count("tick"), 3)

    def test_stdout_can_be_opened_by_whoever_runs(self):
        self.pod.run("user", ["sh", "-c", "echo first; echo second > /dev/stdout; echo third > /dev/stderr"],
                     process={"uid": 1000, "gid": 1000})
        self.assertEqual(sorted(line for _, _, line in self.pod.records("user")), [b"first", b"second", b"third"])

    def test_a_full_disk_drops_whole_records_and_counts_them(self):
        small = f"{self.pod.base}/logs/full"
        os.makedirs(small)
        mount("tmpfs", small, "tmpfs", 0, "size=64k")
        try:
            before = self.pod.state().log_bytes_dropped
            self.pod.run("full", ["sh", "-c", "seq 1 100000"])
            self.assertGreater(self.pod.state().log_bytes_dropped, before + 1_000_000)
            # Told of its container, and all of it before its exit.
            (lost,) = (entry.log_bytes_dropped for entry in self.pod.state().containers if entry.id == "full")
            self.assertEqual(lost, self.pod.state().log_bytes_dropped - before)
            told = [event for _, event in self.pod.client.events if event.WhichOneof("what") == "log_dropped"]
            self.assertEqual({event.log_dropped.container_id for event in told}, {"full"})
            self.assertEqual(told[-1].log_dropped.bytes, lost)
            lines = [line for _, _, line in self.pod.records("full")]
            self.assertEqual(lines, [str(n).encode() for n in range(1, len(lines) + 1)])
            self.assertGreater(len(lines), 500)
        finally:
            self.pod.client.call(delete_container=pb.DeleteContainer(id="full"))
            self.assertTrue(eventually(lambda: not busy(small)))

    def test_output_without_a_log_is_dropped_and_holds_nobody_up(self):
        for tty in (False, True):
            name = f"none{tty}"
            self.assertEqual(self.pod.run(name, ["sh", "-c", "seq 1 100000; seq 1 100000 >&2"], log=False, tty=tty).exit_code, 0)
            self.assertFalse(os.path.exists(self.pod.log_path(name)))
            with self.assertRaises(ShimError) as caught:
                self.reopen(name)
            self.assertEqual(caught.exception.kind, "STATE")

    def test_terminal(self):
        self.pod.run("tty", ["sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo yes; stty size; tty; "
                             "echo hi > /dev/console; echo there > /dev/tty"],
                     tty=True, process={"rows": 33, "columns": 99})
        self.assertEqual(self.pod.output("tty").replace("\r", "").split("\n"),
                         ["yes", "33 99", "/dev/pts/0", "hi", "there", ""])

    def test_terminal_is_readable_by_its_user_alone(self):
        self.pod.run("ttyuser", ["sh", "-c", "stat -L -c %u /proc/self/fd/0; echo ok > /dev/tty"], tty=True,
                     process={"uid": 1000, "gid": 1000})
        self.assertEqual(self.pod.output("ttyuser").split(), ["1000", "ok"])


class PumpTrouble(unittest.TestCase):
    def pump(self, pod):
        for pid in pod.descendants():
            if comm(pid) == "berth-log":
                return pid

    def test_a_pump_that_dies_is_replaced(self):
        with Pod() as pod:
            pod.up("w", ["sh", "-c", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.005; done"])
            self.assertTrue(eventually(lambda: pod.output("w").count("\n") > 20))
            first = self.pump(pod)
            os.kill(first, signal.SIGKILL)
            self.assertTrue(eventually(lambda: self.pump(pod) not in (None, first)))
            self.assertEqual(pod.client.wait_exit("w").exit_code, 0)
            lines = pod.output("w").split()
            self.assertEqual(lines[-1], "200")
            self.assertGreaterEqual(len(lines), 199)

    def test_what_is_lost_is_told_while_it_is_lost_and_counted_on_by_the_next_pump(self):
        with Pod() as pod:
            small = f"{pod.base}/logs/small"
            os.makedirs(small)
            mount("tmpfs", small, "tmpfs", 0, "size=16k")

            def told(more_than):
                def test(event):
                    return event.WhichOneof("what") == "log_dropped" and event.log_dropped.bytes > more_than and event
                return pod.client.wait_event(test).log_dropped
            try:
                pod.up("small", ["sh", "-c", "seq 1 50000; while :; do seq 1 9; sleep 0.02; done"])
                first = told(1_000_000)
                self.assertEqual(first.container_id, "small")
                pump = self.pump(pod)
                os.kill(pump, signal.SIGKILL)
                self.assertTrue(eventually(lambda: self.pump(pod) not in (None, pump)))
                entries = pod.state().containers
                before = [entry.log_bytes_dropped for entry in entries if entry.id == "small"][0]
                self.assertGreaterEqual(before, first.bytes)
                self.assertGreater(told(before).bytes, before)
            finally:
                pod.kill("small", signal.SIGKILL)
                pod.client.wait_exit("small")
                pod.client.call(delete_container=pb.DeleteContainer(id="small"))
                self.assertTrue(eventually(lambda: not busy(small)))

    def test_a_pump_that_is_stuck_holds_no_exit_back(self):
        with Pod() as pod:
            pod.up("s", ["sleep", "0.2"])
            pump = self.pump(pod)
            os.kill(pump, signal.SIGSTOP)
            try:
                start = time.time()
                pod.client.wait_exit("s")
                self.assertLess(time.time() - start, 8)
                pod.state()
            finally:
                os.kill(pump, signal.SIGCONT)

    @unittest.skipIf(SANITIZED, "measures memory, and the sanitizers' own would be measured")
    def test_an_idle_pump_gives_its_buffers_back(self):
        with Pod() as pod:
            pod.run("b", ["sh", "-c", "seq 1 100000"])
            pump = self.pump(pod)

            def private():
                with open(f"/proc/{pump}/smaps_rollup") as file:
                    return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
            self.assertTrue(eventually(lambda: private() < 64), private())


if __name__ == "__main__":
    unittest.main()

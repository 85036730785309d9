"""A container's life: create, start, exit, and what is told of it."""

import errno
import os
import signal
import subprocess
import time
import unittest

from harness import Client, Pod, ShimError, eventually, pb


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def fails(self, kind, call, *args, **values):
        with self.assertRaises(ShimError) as caught:
            call(*args, **values)
        self.assertEqual(caught.exception.kind, kind, str(caught.exception))
        return caught.exception

    def entry(self, name):
        return next((c for c in self.pod.state().containers if c.id == name), None)

    def test_hello_names_the_shim(self):
        hello = self.pod.hello
        self.assertEqual((hello.protocol, hello.pod_id), (1, self.pod.id))
        self.assertIn("exec", hello.features)
        with open("/proc/sys/kernel/random/boot_id") as file:
            self.assertEqual(hello.boot_id, file.read().strip())
        with open(f"/proc/{hello.pid}/comm") as file:
            self.assertEqual(file.read().strip(), "berth-shim")

    def test_exit_code_is_told_and_written_first(self):
        exit = self.pod.run("code", ["sh", "-c", "exit 7"])
        self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (7, 0, False))
        self.assertGreaterEqual(exit.finished_at_ns, exit.started_at_ns)
        with open(f"{self.pod.dir}/exits/code", "rb") as file:
            self.assertEqual(pb.ExitRecord.FromString(file.read()), exit)
        self.assertEqual(self.entry("code").exit, exit)

    def test_exit_is_written_to_a_disk_that_is_full_and_a_container_without_room_for_it_is_refused(self):
        exits = f"{self.pod.dir}/exits"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", exits], check=True)
        try:
            self.pod.create("ends", ["sh", "-c", "exit 7"])
            self.pod.create("never", ["true"])
            with self.assertRaises(OSError):
                with open(f"{exits}/filler", "wb", buffering=0) as file:
                    while file.write(b"x" * 4096) > 0:
                        pass
            self.pod.begin("ends")
            exit = self.pod.client.wait_exit("ends", 10)
            with open(f"{exits}/ends", "rb") as file:
                self.assertEqual(pb.ExitRecord.FromString(file.read()), exit)
            self.assertEqual(exit.exit_code, 7)
            refused = self.fails("KERNEL", self.pod.create, "late", ["true"])
            self.assertEqual((refused.step, refused.errno), ("exit record", errno.ENOSPC))
            self.assertIsNone(self.entry("late"))
            self.pod.client.call(ack_exit=pb.AckExit(container_id="ends"))
            for name in ("ends", "never"):
                self.pod.client.call(delete_container=pb.DeleteContainer(id=name))
            # What was waiting is killed first, and drained.
            self.assertTrue(eventually(lambda: os.listdir(exits) == ["filler"]))
        finally:
            subprocess.run(["umount", "-l", exits], check=True)

    def test_exit_record_goes_when_acknowledged_and_the_entry_when_deleted(self):
        self.pod.run("acked", ["true"])
        self.pod.client.call(ack_exit=pb.AckExit(container_id="acked"))
        self.assertFalse(os.path.exists(f"{self.pod.dir}/exits/acked"))
        self.assertEqual(self.entry("acked").state, pb.EXITED)
        self.pod.client.call(delete_container=pb.DeleteContainer(id="acked"))
        self.assertIsNone(self.entry("acked"))

    def test_death_by_signal(self):
        self.pod.up("killed")
        self.pod.kill("killed", signal.SIGKILL)
        exit = self.pod.client.wait_exit("killed")
        self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (137, 9, False))

    def test_signal_reaches_init(self):
        self.pod.up("trap", ["sh", "-c", "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done"])
        while "ready" not in self.pod.output("trap"):
            time.sleep(0.02)
        self.pod.kill("trap", signal.SIGTERM)
        self.assertEqual(self.pod.client.wait_exit("trap").exit_code, 5)
        self.assertIn("got", self.pod.output("trap"))

    def test_command_that_is_not_there(self):
        self.pod.create("absent", ["no-such-command"])
        error = self.fails("START", self.pod.begin, "absent")
        self.assertEqual((error.step, error.path, error.errno), ("execve", "no-such-command", 2))
        exit = self.pod.client.wait_exit("absent")
        self.assertEqual((exit.exit_code, exit.started_at_ns), (127, 0))

    def test_command_that_may_not_be_executed(self):
        for name, command, code, error in (("noexec", "/etc/noexec", 126, 13), ("adir", "/etc", 126, 21)):
            self.pod.create(name, [command])
            self.assertEqual(self.fails("START", self.pod.begin, name).errno, error)
            self.assertEqual(self.pod.client.wait_exit(name).exit_code, code)

    def test_command_is_looked_for_in_its_own_path(self):
        env = {"env": [b"PATH=/etc:/nowhere:/bin"]}
        self.assertEqual(self.pod.run("path", ["true"], process=env).exit_code, 0)
        self.pod.create("nopath", ["true"], process={"env": [b"PATH=/etc"]})
        self.assertEqual(self.fails("START", self.pod.begin, "nopath").errno, 2)

    def test_environment_and_arguments_are_bytes(self):
        self.pod.run("bytes", ["sh", "-c", 'printf "%s|%s" "$X" "$1" | wc -c', "sh", b"\xff\xfe"],
                     process={"env": [b"PATH=/bin", b"X=a\nb\xff=c"]})
        self.assertEqual(self.pod.output("bytes").strip(), "9")

    def test_working_directory(self):
        self.pod.run("cwd", ["sh", "-c", "pwd -P; readlink /proc/self/cwd"], process={"cwd": "/made/here", "create_cwd": True})
        self.assertEqual(self.pod.output("cwd").split(), ["/made/here", "/made/here"])
        error = self.fails("START", self.pod.create, "nocwd", ["true"], process={"cwd": "/not/there"})
        self.assertEqual((error.step, error.errno), ("chdir", 2))

    def test_created_container_waits_and_shows_itself(self):
        created = self.pod.create("waits", ["true"])
        self.assertEqual(self.entry("waits").state, pb.CREATED)
        self.assertEqual(self.entry("waits").pid, created.pid)
        time.sleep(0.05)
        with open(f"/proc/{created.pid}/comm") as file:
            self.assertEqual(file.read().strip(), "berth:ready")
        fds = {os.readlink(f"/proc/{created.pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{created.pid}/fd")}
        self.assertEqual(len(os.listdir(f"/proc/{created.pid}/fd")), 4, fds)
        with open(f"/proc/{created.pid}/syscall") as file:
            self.assertEqual(file.read().split()[:2], ["0", "0x3"])  # read, descriptor 3
        self.pod.client.call(delete_container=pb.DeleteContainer(id="waits"))
        self.assertIsNone(self.entry("waits"))
        self.assertFalse(os.path.exists(f"{self.pod.dir}/exits/waits"))

    def test_created_container_that_dies(self):
        created = self.pod.create("dies", ["true"])
        os.kill(created.pid, signal.SIGKILL)
        exit = self.pod.client.wait_exit("dies")
        self.assertEqual((exit.exit_code, exit.started_at_ns), (137, 0))
        self.fails("STATE", self.pod.begin, "dies")

    def test_calls_in_the_wrong_state(self):
        self.fails("NOT_FOUND", self.pod.begin, "nobody")
        self.fails("NOT_FOUND", self.pod.kill, "nobody")
        self.pod.up("state")
        self.fails("STATE", self.pod.begin, "state")
        self.fails("STATE", self.pod.create, "state", ["true"])
        self.fails("STATE", self.pod.client.call, delete_container=pb.DeleteContainer(id="state"))
        self.fails("STATE", self.pod.client.call, start_pod=pb.StartPod(pod_id="again"))

    def test_unknown_requirement_is_refused(self):
        error = self.fails("UNSUPPORTED", self.pod.create, "future", ["true"], request={"requires": ["teleport"]})
        self.assertEqual(error.path, "teleport")
        error = self.fails("BAD_MESSAGE", self.pod.create, "userns", ["true"], user=pb.NS_POD)
        self.assertEqual(error.step, "user")

    def test_clean_start(self):
        # Not by a shell: shells change what they were given.
        self.pod.run("clean", ["cat", "/proc/self/status"])
        status = dict(line.split(":", 1) for line in self.pod.output("clean").splitlines())
        for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual((status["Umask"].strip(), status["NoNewPrivs"].strip(), status["Seccomp"].strip()),
                         ("0022", "0", "0"))
        self.assertEqual((status["Groups"].strip(), status["Uid"].split()), ("", ["0"] * 4))
        with open("/proc/self/status") as file:
            allowed = next(line.split()[1] for line in file if line.startswith("Cpus_allowed:"))
        self.assertEqual(status["Cpus_allowed"].strip(), allowed)
        self.pod.run("clean2", ["cat", "/proc/self/stat", "/proc/self/oom_score_adj"])
        stat, score = self.pod.output("clean2").splitlines()
        stat = stat.rsplit(")", 1)[1].split()
        self.assertEqual(stat[2:4], ["1", "1"])  # its own group and session
        self.assertEqual((stat[16], stat[38]), ("0", "0"))  # nice, policy
        self.assertEqual(score, "0")
        self.pod.run("clean3", ["ls", "/proc/self/fd"])
        self.assertEqual(self.pod.output("clean3").split(), ["0", "1", "2", "3"])  # 3: the listing itself
        self.pod.run("clean4", ["sh", "-c", "ulimit -n; ulimit -Hn"])
        self.assertEqual(self.pod.output("clean4").split()[0], "1024")

    def test_tolerated_refusals_are_told(self):
        created = self.pod.create("refused", ["true"], process={
            "rlimits": [pb.Rlimit(resource=7, soft=1 << 30, hard=1 << 40)], "set_oom_score_adj": True,
            "oom_score_adj": -999, "cap_permitted": (1 << 24) | 1, "cap_effective": 1})
        self.pod.begin("refused")
        self.assertEqual(self.pod.client.wait_exit("refused").exit_code, 0)
        told = " ".join(created.warnings)
        with open("/proc/self/status") as file:
            held = next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm"))
        if not held >> 24 & 1:  # CAP_SYS_RESOURCE
            self.assertIn("oom_score_adj -999: EACCES", told)
            self.assertIn("capability 24", told)
        self.assertIn("rlimit 7", told)

    def test_oom_kill_is_told(self):
        limit = f"/sys/fs/cgroup/memory/{self.pod.cgroups.name}/oom/memory.limit_in_bytes"
        self.pod.create("oom", ["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M count=1"])
        with open(limit, "w") as file:
            file.write(str(20 << 20))
        self.pod.begin("oom")
        exit = self.pod.client.wait_exit("oom")
        self.assertEqual((exit.exit_code, exit.oom_killed), (137, True))

    def tight(self, name, args, **values):
        """A container with 20 MB, which runs."""
        self.pod.create(name, args, **values)
        with open(f"/sys/fs/cgroup/memory/{self.pod.cgroups.name}/{name}/memory.limit_in_bytes", "w") as file:
            file.write(str(20 << 20))
        self.pod.begin(name)

    def oom_in(self, name):
        self.assertEqual(self.pod.exec(name, ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"])[0], 137)

    def test_an_exec_that_ran_out_of_memory_before_a_stop_is_not_the_end_of_the_container(self):
        for name, signals in (("kill", [signal.SIGKILL]), ("both", [signal.SIGTERM, signal.SIGKILL])):
            self.tight(name, ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
            self.oom_in(name)
            for number in signals:
                self.pod.kill(name, number, all=number == signal.SIGKILL)
            exit = self.pod.client.wait_exit(name)
            self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (137, 9, False), name)

    def test_an_exec_that_ran_out_of_memory_does_not_explain_the_137_of_a_stop_that_was_heard(self):
        self.tight("heard", ["sh", "-c", "trap 'exit 137' TERM; while :; do sleep 0.1; done"])
        self.oom_in("heard")
        self.pod.kill("heard", signal.SIGTERM)
        exit = self.pod.client.wait_exit("heard")
        self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (137, 0, False))

    def test_who_runs_out_of_memory_after_the_polite_signal_is_oom_killed(self):
        self.tight("late", ["sh", "-c", "trap 'exec dd if=/dev/zero of=/dev/null bs=200M count=1' TERM; "
                                        "while :; do sleep 0.1; done"])
        self.oom_in("late")
        self.pod.kill("late", signal.SIGTERM)
        exit = self.pod.client.wait_exit("late")
        self.assertEqual((exit.exit_code, exit.oom_killed), (137, True))

    def test_a_child_that_ran_out_of_memory_is_the_end_of_a_shell_that_passes_it_on(self):
        self.tight("passed", ["sh", "-c", "sleep 0.2; dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?"])
        exit = self.pod.client.wait_exit("passed")
        self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (137, 0, True))
        self.tight("survived", ["sh", "-c", "sleep 0.2; dd if=/dev/zero of=/dev/null bs=200M count=1; exit 0"])
        exit = self.pod.client.wait_exit("survived")
        self.assertEqual((exit.exit_code, exit.oom_killed), (0, False))

    def test_all_of_a_container_killed_for_memory_at_once(self):
        # What v2 counts before and after it has killed a group whose memory.oom.group is 1, init among the three.
        events = f"{self.pod.dir}/memory.events"
        recorded = "low 0\nhigh 0\nmax {}\noom {}\noom_kill {}\noom_group_kill {}\n"
        for name, after, killed in (("group", (31, 1, 3, 1), True), ("other", (31, 1, 0, 0), False)):
            with open(events, "w") as file:
                file.write(recorded.format(0, 0, 0, 0))
            pid = self.pod.create(name, ["sh", "-c", "sleep 1000 & wait"], request={"oom_file": events}).pid
            self.pod.begin(name)
            with open(events, "w") as file:
                file.write(recorded.format(*after))
            os.kill(pid, signal.SIGKILL)
            exit = self.pod.client.wait_exit(name)
            self.assertEqual((exit.exit_code, exit.signal, exit.oom_killed), (137, 9, killed), name)

    def test_everything_is_told_to_whoever_subscribed_and_to_nobody_else(self):
        other, silent = self.pod.connect(), self.pod.connect()
        other.call(hello=pb.Hello(protocol=1, subscribe=True))
        self.pod.run("told", ["true"])
        self.assertEqual(other.wait_exit("told").exit_code, 0)
        silent.call(get_state=pb.GetState())
        self.assertEqual(silent.events, [])
        other.close()
        silent.close()

    def test_containers_live_on_when_every_connection_is_gone(self):
        pod = Pod()
        try:
            pod.create("alone", ["sh", "-c", "echo one; sleep 0.3; echo two; exit 9"])
            pod.begin("alone")
            for client in pod.clients:
                client.close()
            time.sleep(0.8)
            pod.client = pod.connect()
            entry = pod.state().containers[0]
            self.assertEqual((entry.state, entry.exit.exit_code), (pb.EXITED, 9))
            self.assertEqual(pod.output("alone"), "one\ntwo\n")
            self.assertTrue(os.path.exists(f"{pod.dir}/exits/alone"))
        finally:
            pod.close()

    def test_many_at_once(self):
        names = [f"many{i}" for i in range(24)]
        clients = {}
        for name in names:
            plan = self.pod.plan(name, ["sh", "-c", "exit 4"]).SerializeToString()
            stream = self.pod.client.send(create_container=pb.CreateContainer(
                id=name, plan=plan, pid=pb.NS_NEW, setup_timeout_ms=20000))
            clients[name] = stream
        for name in names:
            self.pod.client.wait(clients[name])
        for name in names:
            self.pod.begin(name)
        for name in names:
            self.assertEqual(self.pod.client.wait_exit(name).exit_code, 4)

    def test_a_container_that_was_made_has_no_stdin(self):
        self.assertEqual(self.pod.run("nostdin", ["sh", "-c", "cat; readlink /proc/self/fd/0"]).exit_code, 0)
        self.assertEqual(self.pod.output("nostdin"), "/dev/null\n")

    def test_stdin_stays_open_when_asked_for(self):
        self.pod.up("stdin", ["cat"], request={"stdin": True})
        time.sleep(0.1)
        self.assertEqual(self.entry("stdin").state, pb.RUNNING)


if __name__ == "__main__":
    unittest.main()

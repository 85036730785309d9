"""What a container can see of the processes that are made for it, before they are its own."""

import os
import signal
import struct
import threading
import time
import unittest

from harness import DEFAULT_CAPS, Pod, ShimError, alive, eventually, pb
from reports import SANITIZED
from slow_files import SlowFiles
from test_mounts import bind

MARKER = b"marker-of-somebody-elses-environment"


def namespace(pid, kind="pid"):
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None


def members(pid):
    """Every process of a process's pid namespace."""
    wanted = namespace(pid)
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit() and namespace(entry) == wanted}


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def memory(pid):
    """All of it that can be read, and its writable mappings."""
    text, writable = b"", []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if end - start > 1 << 26:
                continue  # a sanitizer's books
            if "w" in line.split()[1]:
                writable.append(line.strip())
            try:
                mem.seek(start)
                text += mem.read(end - start)
            except (OSError, ValueError, OverflowError):
                pass  # the kernel's own pages
    return text, writable


# Lets everything through but what the second process needs: these kill it. Numbers of x86-64.
NEEDED = {"clone": 56, "clone3": 435, "vfork": 58, "setsid": 112, "ioctl": 16}


def filter_of(rules, default):
    """A program in the kernel's form: numbers with an action each, else the default."""
    code = [(0x20, 0, 0, 0)]
    for number, action in rules.items():
        code += [(0x15, 0, 1, number), (0x06, 0, 0, action)]
    return b"".join(struct.pack("HBBI", *i) for i in code + [(0x06, 0, 0, default)])


ALLOW, KILL, REFUSE = 0x7fff0000, 0x80000000, 0x00050001


class Looks(unittest.TestCase):
    def is_the_containers(self, pid, init, fds, about):
        """Nothing but what its command will have."""
        for place in ("root", "cwd"):
            mine, inits = os.stat(f"/proc/{pid}/{place}"), os.stat(f"/proc/{init}/root")
            self.assertEqual((mine.st_dev, mine.st_ino), (inits.st_dev, inits.st_ino), place)
        for kind in ("mnt", "net", "ipc", "uts", "cgroup", "pid"):
            self.assertEqual(namespace(pid, kind), namespace(init, kind), kind)
        self.assertEqual({int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}, set(fds))
        for fd in set(fds) - {0, 1, 2}:
            self.assertRegex(os.readlink(f"/proc/{pid}/fd/{fd}"), "^pipe:")
        seen = status(pid)
        for name, wanted in about.items():
            self.assertEqual(seen[name].strip(), wanted, name)
        self.assertNotEqual(os.getsid(pid), os.getsid(self.pod.pid))
        self.assertNotEqual(os.getpgid(pid), os.getpgid(self.pod.pid))
        if SANITIZED:
            return  # their books are in its memory, and what has been freed lies there for a while
        text, writable = memory(pid)
        self.assertEqual(len(writable), 1, writable)
        self.assertNotIn(MARKER, text)
        self.assertIn(b"PATH=/bin:/usr/bin", text)  # so that it was looked through

    def with_marker_in_the_shim(self):
        """A request under way, as of somebody who creates another container."""
        client = self.pod.connect()
        client.socket.sendall(struct.pack(">IIBB", 100_000, 1, 1, 0) + MARKER * 1000)
        self.assertTrue(eventually(lambda: MARKER in memory(self.pod.pid)[0]))
        return client


class OfAnExec(Looks):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.slow = SlowFiles(f"{cls.pod.base}/slow")
        cls.init = cls.pod.up("c", mounts=[bind(cls.slow.path, "/v")])

    @classmethod
    def tearDownClass(cls):
        cls.slow.close()
        cls.pod.close()

    def begin(self, args, tty=False, exec_id=None, timeout_ms=0, **process):
        """An exec that is going to wait for a slow file."""
        Pod.counter += 1
        client = self.pod.connect()
        self.slow.asked.clear()
        reads, writes = os.pipe()
        message = pb.Exec(container_id="c", exec_id=exec_id or f"s{Pod.counter}", tty=tty, timeout_ms=timeout_ms,
                          process=self.pod.process(args, tty=tty, **process).SerializeToString())
        stream = client.send((reads, writes, writes), exec=message)
        os.close(reads), os.close(writes)
        self.assertTrue(self.slow.asked.wait(10))
        return client, stream, message.exec_id

    def end(self, client, exec_id):
        self.pod.client.call(kill_exec=pb.KillExec(exec_id=exec_id))
        client.close()
        self.assertTrue(eventually(lambda: members(self.init) == {self.init}))
        self.assertTrue(eventually(lambda: not [d for d in os.listdir(
            f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/c") if d.startswith("exec-")]))

    def test_nobody_is_in_its_pid_namespace_while_an_exec_is_prepared(self):
        for tty in (False, True):
            client, _, exec_id = self.begin(["true"], tty=tty, cwd="/v/hang")
            self.assertEqual(members(self.init), {self.init})
            self.end(client, exec_id)

    def test_who_waits_for_its_execve_has_nothing_but_the_containers(self):
        request = self.with_marker_in_the_shim()
        code = filter_of({NEEDED["ioctl"]: REFUSE}, ALLOW)
        caps = {name: f"{DEFAULT_CAPS:016x}" for name in ("CapPrm", "CapEff", "CapBnd")}
        cases = ((dict(seccomp=code), {**caps, "Seccomp": "2", "NoNewPrivs": "0"}),
                 (dict(seccomp=code, no_new_privs=True), {**caps, "Seccomp": "2", "NoNewPrivs": "1"}),
                 (dict(uid=1000, gid=1001, groups=[5], cap_effective=0, cap_permitted=0, cap_bounding=1),
                  {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": f"{1:016x}", "Groups": "5 "[:1],
                   "Uid": "1000\t1000\t1000\t1000", "Gid": "1001\t1001\t1001\t1001"}))
        for process, about in cases:
            for tty in (False, True):
                client, _, exec_id = self.begin(["/v/hang"], tty=tty, **process)
                (pid,) = members(self.init) - {self.init}
                self.is_the_containers(pid, self.init, (0, 1, 2, 3), about)
                self.end(client, exec_id)
        request.close()

    def test_what_it_says_is_not_believed(self):
        """Whoever may trace it has its pipe, too."""
        for said in (b"\0", b"G", b"\xff" * 4, b"\2\0\0\0", b"\1\0\2\0", b"F" * 4096):
            client, stream, exec_id = self.begin(["/v/hang"])
            (pid,) = members(self.init) - {self.init}
            pipe = os.open(f"/proc/{pid}/fd/3", os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, said)
            os.close(pipe)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertIn(caught.exception.step, ("execve", "setsid", "terminal"))
            self.assertTrue(eventually(lambda: not alive(pid)))
            client.close()
        self.assertEqual(self.pod.exec("c", ["true"])[0], 0)

    def test_a_timeout_ends_it_at_whatever_it_waits_for(self):
        for args, cwd in ((["true"], "/v/hang"), (["/v/hang"], "/")):
            client, stream, exec_id = self.begin(args, cwd=cwd, timeout_ms=300)
            client.wait(stream)
            exited = client.wait_exec(exec_id)
            self.assertEqual((exited.exit_code, exited.timed_out), (137, True))
            self.end_of_all(client)

    def killed(self, exec_id):
        try:
            self.pod.client.call(kill_exec=pb.KillExec(exec_id=exec_id))
            return True
        except ShimError:
            return False  # it has not been heard of yet

    def end_of_all(self, client):
        client.close()
        self.assertTrue(eventually(lambda: members(self.init) == {self.init}))

    def test_being_killed_at_any_moment_leaves_nothing(self):
        for round in range(40):
            client = self.pod.connect()
            null = os.open("/dev/null", os.O_RDWR)
            stream = client.send((null,) * 3, exec=pb.Exec(container_id="c", exec_id=f"kill{round}",
                                                           process=self.pod.process(["sleep", "99"]).SerializeToString()))
            os.close(null)
            time.sleep(round * 0.0001)
            self.assertTrue(eventually(lambda: self.killed(f"kill{round}")))
            try:
                client.wait(stream)
                self.assertEqual(client.wait_exec(f"kill{round}").exit_code, 137)
            except ShimError as error:
                self.assertEqual(error.kind, "KERNEL")
            self.end_of_all(client)


class OfAContainer(Looks):
    """In a pid namespace with others in it."""

    @classmethod
    def setUpClass(cls):
        cls.pod = Pod(pid=pb.NS_POD)
        cls.slow = SlowFiles(f"{cls.pod.base}/slow")
        cls.pause = cls.pod.started.pause_pid
        cls.pod.up("old")
        cls.alone = cls.pod.up("alone", ["sh", "-c", "while :; do sleep 100; done"], pid=pb.NS_NEW)

    @classmethod
    def tearDownClass(cls):
        cls.slow.close()
        cls.pod.close()

    def places(self):
        """Pod's and container's: somebody in it, and how a container gets there."""
        return ((self.pause, dict(pid=pb.NS_POD)),
                (self.alone, dict(pid=pb.NS_CONTAINER, request={"pid_target_id": "alone"})))

    def test_nobody_is_in_the_pid_namespace_while_a_container_is_prepared(self):
        for number, (somebody, values) in enumerate(self.places()):
            before = members(somebody)
            self.slow.asked.clear()
            name = f"slow{number}"
            request = {**values.get("request", {}), "setup_timeout_ms": 1500}
            plan = self.pod.plan(name, ["true"], mounts=[bind(f"{self.slow.path}/hang", "/v")]).SerializeToString()
            client = self.pod.connect()
            stream = client.send(create_container=pb.CreateContainer(id=name, plan=plan, pid=values["pid"], **request))
            self.assertTrue(self.slow.asked.wait(10))
            self.assertEqual(members(somebody), before)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertEqual(caught.exception.kind, "UNRESPONSIVE")
            self.assertEqual(members(somebody), before)

    def test_who_waits_to_be_started_has_nothing_but_the_containers(self):
        request = self.with_marker_in_the_shim()
        code = filter_of({NEEDED["ioctl"]: REFUSE, NEEDED["clone"]: KILL, NEEDED["setsid"]: KILL}, ALLOW)
        about = {**{name: f"{DEFAULT_CAPS:016x}" for name in ("CapPrm", "CapEff", "CapBnd")}, "Seccomp": "2"}
        for number, (somebody, values) in enumerate(self.places()):
            for tty in (False, True):
                for nnp in (False, True):
                    name = f"waits{number}{tty}{nnp}"
                    pid = self.pod.create(name, ["readlink", "/bin/sh"], tty=tty, process={"seccomp": code, "no_new_privs": nnp},
                                          **values).pid
                    self.assertIn(pid, members(somebody))
                    self.is_the_containers(pid, pid, (0, 1, 2, 3, 4), {**about, "NoNewPrivs": str(int(nnp))})
                    with open(f"/proc/{pid}/mountinfo") as file:
                        self.assertNotIn(self.pod.base, file.read())
                    self.pod.begin(name)
                    self.assertEqual(self.pod.client.wait_exit(name).exit_code, 0)
                    self.assertEqual(self.pod.output(name).strip(), "busybox")
        request.close()

    def test_proc_is_that_of_the_pid_namespace(self):
        for number, (somebody, values) in enumerate(self.places()):
            name = f"proc{number}"
            self.pod.run(name, ["sh", "-c", "cat /proc/1/comm; readlink /proc/self; ls -d /proc/[0-9]* | wc -l; "
                                "touch /proc/sys/kernel/panic 2>&1"], **values)
            first, me, count, refused = self.pod.output(name).splitlines()
            self.assertEqual(first, "berth-pause" if number == 0 else "sh")
            self.assertTrue(me.isdigit() and int(count) >= 2, (me, count))
            self.assertIn("Read-only", refused)

    def test_what_a_container_mounts_over_its_own_proc_is_not_for_those_who_join_it(self):
        every = (1 << 41) - 1
        caps = {"cap_permitted": every, "cap_effective": every, "cap_bounding": every}
        target = self.pod.up("liar", ["sh", "-c", "mount -t tmpfs none /proc; mkdir /proc/1; echo liar > /proc/1/comm; "
                                             "while :; do sleep 100; done"],
                             pid=pb.NS_NEW, process=caps)
        self.assertTrue(eventually(lambda: self.pod.exec("liar", ["cat", "/proc/1/comm"])[1] == "liar\n"))
        joins = dict(pid=pb.NS_CONTAINER, request={"pid_target_id": "liar"})
        self.pod.up("joins", ["sh", "-c", "cat /proc/1/comm; sleep 1000"], **joins)
        self.assertTrue(eventually(lambda: self.pod.output("joins") == "sh\n"), self.pod.records("joins"))
        joins["request"]["pid_target_id"] = "joins"  # and who joins that one
        self.pod.run("again", ["cat", "/proc/1/comm"], **joins)
        self.assertEqual(self.pod.output("again"), "sh\n")
        self.pod.kill("liar")
        self.pod.client.wait_exit("joins")
        self.assertTrue(eventually(lambda: not alive(target)))
        with self.assertRaises(ShimError) as caught:
            self.pod.create("late", ["true"], **joins)
        self.assertEqual(caught.exception.kind, "STATE")

    def test_what_is_said_in_its_name_is_not_believed(self):
        for number, said in enumerate((b"\0", b"\2\0\0\0", b"F" * 4096)):
            name = f"named{number}"
            pid = self.pod.create(name, ["sleep", "1000"]).pid
            pipe = os.open(f"/proc/{pid}/fd/3", os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, said)
            os.close(pipe)
            self.assertEqual(self.pod.client.wait_exit(name).exit_code, 137)
        self.assertEqual(self.pod.run("after", ["true"]).exit_code, 0)

    def test_a_failed_execve_is_told(self):
        for name, args, errno, code in (("gone", ["no-such"], 2, 127), ("data", ["/etc/noexec"], 13, 126)):
            self.pod.create(name, args)
            with self.assertRaises(ShimError) as caught:
                self.pod.begin(name)
            self.assertEqual((caught.exception.kind, caught.exception.step, caught.exception.path, caught.exception.errno),
                             ("START", "execve", args[0], errno))
            self.assertEqual(self.pod.client.wait_exit(name).exit_code, code)

    def test_a_setup_that_is_killed_at_any_moment_leaves_nothing(self):
        before = members(self.pause)
        for round in range(60):
            name = f"killed{round}"
            plan = self.pod.plan(name, ["true"]).SerializeToString()
            stop = threading.Event()

            def kill_all():
                time.sleep(round * 0.0002)
                while not stop.is_set():
                    try:
                        with open(f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/{name}/cgroup.procs") as file:
                            for member in file.read().split():
                                os.kill(int(member), signal.SIGKILL)
                    except OSError:
                        pass

            killer = threading.Thread(target=kill_all)
            killer.start()
            try:
                self.pod.create(name, [], plan=plan)
            except ShimError as error:
                self.assertIn("killed", error.message)
            finally:
                stop.set()
                killer.join()
        for container in self.pod.state().containers:
            if container.state == pb.CREATED:  # the killer came too late
                self.pod.client.call(delete_container=pb.DeleteContainer(id=container.id))
        self.assertTrue(eventually(lambda: members(self.pause) == before))
        self.assertEqual(self.pod.run("afterwards", ["true"]).exit_code, 0)


class Filters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.pod.up("c")

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def test_a_filter_that_kills_for_what_an_exec_needs_lets_it_through_once(self):
        code = filter_of({number: KILL for number in NEEDED.values()}, ALLOW)
        for nnp in (False, True):
            confined = dict(seccomp=code, no_new_privs=nnp)
            self.assertEqual(self.pod.exec("c", ["readlink", "/bin/sh"], **confined)[:2], (0, "busybox\n"))
            self.assertEqual(self.pod.exec("c", ["setsid", "true"], **confined)[0], 128 + 31)  # SIGSYS
            self.assertEqual(self.pod.exec("c", ["sh", "-c", "true & wait"], **confined)[0], 128 + 31)

    @unittest.skipIf(SANITIZED, "their code makes a call of its own (sigaltstack) before a process ends")
    def test_a_filter_that_allows_nothing_but_the_command(self):
        """A program of two system calls, under a filter that allows these two."""
        machine = b"\xb8\xe7\0\0\0\xbf\x07\0\0\0\x0f\x05"  # exit_group(7)
        header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 120 + len(machine), 120 + len(machine), 4096)
        with open(f"{self.pod.base}/containers/c/upper/tiny", "wb") as file:
            file.write(header + segment + machine)
        os.chmod(f"{self.pod.base}/containers/c/upper/tiny", 0o755)
        for default in (KILL, REFUSE):
            code = filter_of({59: ALLOW, 231: ALLOW}, default)
            self.assertEqual(self.pod.exec("c", ["/tiny"], seccomp=code, no_new_privs=True)[0], 7)
            no_exit = filter_of({59: ALLOW}, default)  # nor the first's end
            self.assertEqual(self.pod.exec("c", ["/tiny"], seccomp=no_exit, no_new_privs=True)[0],
                             128 + (31 if default == KILL else 11))

    def test_the_longest_filter(self):
        longest = 4096 - 21
        for count, fits in ((longest, True), (longest + 1, False)):
            code = struct.pack("HBBI", 0x20, 0, 0, 0) * (count - 1) + struct.pack("HBBI", 0x06, 0, 0, ALLOW)
            for run in (lambda: self.pod.exec("c", ["true"], seccomp=code)[0],
                        lambda: self.pod.run(f"long{count}", ["true"], process={"seccomp": code}).exit_code):
                if fits:
                    self.assertEqual(run(), 0)
                    continue
                with self.assertRaises(ShimError) as caught:
                    run()
                self.assertEqual((caught.exception.kind, caught.exception.step), ("BAD_MESSAGE", "seccomp"))
                self.assertIn(str(longest), caught.exception.message)

    def test_a_container_at_its_limit_of_processes_is_told_so(self):
        self.pod.up("full")
        limit = f"/sys/fs/cgroup/pids/{self.pod.cgroups.name}/full/pids.max"
        for most, fits in (("3", True), ("1", False)):
            with open(limit, "w") as file:
                file.write(most)
            if fits:
                self.assertEqual(self.pod.exec("full", ["true"])[0], 0)
                continue
            with self.assertRaises(ShimError) as caught:
                self.pod.exec("full", ["true"])
            self.assertEqual((caught.exception.step, caught.exception.errno), ("clone", 11))
            self.assertIn("limit of processes", caught.exception.message)


if __name__ == "__main__":
    unittest.main()

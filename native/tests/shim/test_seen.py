"""What a container can see of the processes that are made for it, before they are its own."""

import os
import struct
import time
import unittest

from harness import DEFAULT_CAPS, Pod, ShimError, alive, eventually, pb
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
            try:
                self.pod.client.call(kill_exec=pb.KillExec(exec_id=f"kill{round}"))
            except ShimError:
                pass  # over already
            try:
                client.wait(stream)
                self.assertEqual(client.wait_exec(f"kill{round}").exit_code, 137)
            except ShimError as error:
                self.assertEqual(error.kind, "KERNEL")
            self.end_of_all(client)


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

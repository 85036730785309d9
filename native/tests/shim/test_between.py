"""What happens between two steps of a shim or its children: they are held there by the calls they make."""

import ctypes
import errno
import os
import shutil
import signal
import struct
import time
import unittest

from harness import Pod, ShimError, alive, eventually, pb
from supervisor import Supervisor

CROWD = os.environ["BERTH_CROWD"]
FORGED = struct.pack("=I", 2)  # the second's word for an execve that failed with ENOENT


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def is_pipe(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:")
    except OSError:
        return False


class Held(unittest.TestCase):
    """A pod whose processes stop at the calls that a test names."""

    others = ()
    values = {}

    def setUp(self):
        self.wanted = lambda call: False
        self.supervisor = Supervisor(others=self.others, holds=lambda call: self.wanted(call))
        self.pod = Pod(supervisor=self.supervisor, **self.values)
        self.addCleanup(self.pod.close)
        self.addCleanup(self.let_all_go)

    def let_all_go(self):
        self.wanted = lambda call: False
        for call in list(self.supervisor.held):
            self.supervisor.let_go(call)

    def hold(self, *names, of=lambda call: True):
        """The next of each of these, where whoever makes it is a child of the shim that is no command yet."""
        left = list(names)
        self.supervisor.held[:] = [call for call in self.supervisor.held if alive(call.tid)]

        def wants(call):
            if call.name not in left or call.tid == self.pod.pid or parent_of(call.tid) != self.pod.pid or not of(call):
                return False
            if call.name == "setsid" and not call.inside:  # the first's own
                return False
            if call.name == "close" and not (call.args[0] == 3 and is_pipe(call.tid, 3)):  # where the second speaks
                return False
            left.remove(call.name)
            return True
        self.wanted = wants

    def held_at(self, name):
        find = lambda: next((call for call in self.supervisor.held if call.name == name), None)
        self.assertTrue(eventually(find), f"nobody came to {name}")
        return find()

    def send_exec(self, exec_id, args=("sleep", "1000"), client=None, **values):
        """A connection and the stream of its exec, which is not waited for."""
        client = client or self.pod.connect()
        client.socket.settimeout(10)
        null = os.open("/dev/null", os.O_RDWR)
        process = self.pod.process(list(args)).SerializeToString()
        message = pb.Exec(container_id="c", exec_id=exec_id, process=process, **values)
        stream = client.send((null,) * 3, exec=message)
        os.close(null)
        return client, stream

    def is_gone(self, pid):
        self.assertTrue(eventually(lambda: not os.path.exists(f"/proc/{pid}")), f"{pid} lives on")

    def end_after(self, second, first):
        """The first has nothing left to do but to end, and nobody waits for that."""
        self.is_gone(second.tid)
        self.supervisor.let_go(first)
        self.is_gone(first.tid)


class TwoOfAnExec(Held):
    """The first has made the second, and has its end of the pipe still. They are in no cgroup that is killed, so that
    nothing else finds them."""

    others = ("setsid", "close")

    def setUp(self):
        super().setUp()
        self.pod.up("c", request={"kill_dir": ""})

    def two(self, exec_id, **values):
        self.hold("setsid", "close")
        client, stream = self.send_exec(exec_id, **values)
        return client, stream, self.held_at("close"), self.held_at("setsid")

    def test_both_end_when_it_is_killed(self):
        client, stream, first, second = self.two("killed")
        self.pod.client.call(kill_exec=pb.KillExec(exec_id="killed"))
        self.end_after(second, first)
        client.wait(stream)
        self.assertEqual(client.wait_exec("killed").exit_code, 137)

    def test_both_end_when_its_time_is_over(self):
        client, stream, first, second = self.two("late", timeout_ms=3000)
        self.end_after(second, first)
        client.wait(stream)
        ended = client.wait_exec("late")
        self.assertEqual((ended.exit_code, ended.timed_out), (137, True))

    def test_the_second_is_killed_when_the_first_has_ended(self):
        client, stream, first, second = self.two("alone")
        self.supervisor.let_go(first)
        self.is_gone(first.tid)
        self.pod.client.call(kill_exec=pb.KillExec(exec_id="alone"))
        self.is_gone(second.tid)
        client.wait(stream)
        self.assertEqual(client.wait_exec("alone").exit_code, 137)

    def test_a_second_that_ends_before_the_first_is_the_end_of_the_exec(self):
        client, stream, first, second = self.two("early")
        os.kill(second.tid, signal.SIGKILL)
        client.wait(stream)
        self.assertEqual(client.wait_exec("early").exit_code, 137)
        self.end_after(second, first)

    def test_a_first_that_is_killed_leaves_the_second_to_run(self):
        client, stream, first, second = self.two("orphan")
        os.kill(first.tid, signal.SIGKILL)
        self.is_gone(first.tid)
        self.supervisor.let_go(second)
        self.assertEqual(client.wait(stream).pid, second.tid)
        self.pod.client.call(kill_exec=pb.KillExec(exec_id="orphan"))
        self.assertEqual(client.wait_exec("orphan").exit_code, 137)

    def test_both_end_when_the_shim_is_refused_a_watch(self):
        """That of its end, or that of its words, when the second is there already."""
        for allowed in (0, 1):
            client = self.pod.connect()
            client.socket.settimeout(10)
            self.pod.state(client)
            self.hold("setsid", "close")
            childs, left = self.wanted, [None] * allowed

            def wants(call):
                if call.tid != self.pod.pid or not call.adds:
                    return childs(call)
                return not left or left.pop() is not None
            self.wanted = wants
            stream = self.send_exec(f"unheard{allowed}", client=client)[1]
            first, second, watch = self.held_at("close"), self.held_at("setsid"), self.held_at("ctl")
            self.wanted = lambda call: False
            self.supervisor.let_go(watch, errno.ENOSPC)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
            self.end_after(second, first)


class TwoOfAContainer(Held):
    others = ("setsid", "close", "execve")
    values = {"pid": pb.NS_POD}

    def places(self):
        """The pod's pid namespace, and another container's."""
        self.pod.up("target", pid=pb.NS_NEW)
        return ((pb.NS_POD, ""), (pb.NS_CONTAINER, "target"))

    def two(self, name, pid, target, **values):
        self.hold("setsid", "close")
        client = self.pod.connect()
        client.socket.settimeout(10)
        request = pb.CreateContainer(id=name, plan=self.pod.plan(name, ["sleep", "1000"]).SerializeToString(), pid=pid,
                                     pid_target_id=target, **values)
        stream = client.send(create_container=request)
        return client, stream, self.held_at("close"), self.held_at("setsid")

    def test_both_end_when_the_setup_takes_too_long(self):
        for pid, target in self.places():
            client, stream, first, second = self.two(f"late{pid}", pid, target, setup_timeout_ms=3000)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertEqual(caught.exception.kind, "UNRESPONSIVE")
            self.end_after(second, first)
            self.assertNotIn(f"late{pid}", [entry.id for entry in self.pod.state().containers])

    def test_a_second_that_ends_before_the_first_is_a_setup_that_failed(self):
        for pid, target in self.places():
            client, stream, first, second = self.two(f"early{pid}", pid, target)
            os.kill(second.tid, signal.SIGKILL)
            self.end_after(second, first)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertEqual(caught.exception.kind, "KERNEL")
            again, stream, first, second = self.two(f"early{pid}", pid, target)  # the name is free again
            self.supervisor.let_go(first), self.supervisor.let_go(second)
            again.wait(stream)

    def test_the_second_ends_with_a_start_that_it_says_has_failed(self):
        for pid, target in self.places():
            name = f"says{pid}"
            second = self.pod.create(name, ["sleep", "1000"], pid=pid, request={"pid_target_id": target}).pid
            self.hold("execve", of=lambda call: call.tid == second)
            client = self.pod.connect()
            client.socket.settimeout(10)
            stream = client.send(start_container=pb.StartContainer(id=name))
            self.held_at("execve")
            pipe = os.open(f"/proc/{second}/fd/3", os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, FORGED)
            os.close(pipe)
            self.is_gone(second)
            with self.assertRaises(ShimError) as caught:
                client.wait(stream)
            self.assertEqual((caught.exception.step, caught.exception.errno), ("execve", 2))


class NullDevice(Held):
    others = ("openat2",)

    def asks_for_null(self, call):
        with open(f"/proc/{call.tid}/mem", "rb", buffering=0) as memory:
            memory.seek(call.args[1])
            return memory.read(10) == b"/dev/null\0"

    def test_what_is_put_in_its_place_after_the_first_look_is_not_taken(self):
        place = f"/proc/{self.pod.up('c')}/root/dev/null"
        looks = []

        def second_look(call):
            if call.name == "openat2" and self.asks_for_null(call):
                looks.append(call)
                return len(looks) == 2
            return False
        self.wanted = second_look
        client, stream = self.send_exec("null", ["sh", "-c", "test $(stat -L -c %t:%T /proc/self/fd/0) = 1:3"])
        opens = self.held_at("openat2")
        os.unlink(place)
        os.mknod(place, 0o020666, os.makedev(1, 7))  # full
        self.supervisor.let_go(opens)
        client.wait(stream)
        self.assertEqual(client.wait_exec("null").exit_code, 0)


def born_as(pid):
    """A process with this number, in no cgroup of the pod. Not by ctypes.CDLL, which lets go of the interpreter's lock."""
    numbers = ctypes.c_int32(pid)
    fields = (0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(numbers), 1, 0)  # struct clone_args
    args = ctypes.create_string_buffer(struct.pack("=11Q", *fields))
    found = ctypes.PyDLL(None).syscall(435, args, 88)  # clone3
    if found == 0:
        while True:
            time.sleep(1000)
    return found


class Signals(Held):
    """Between the list of a cgroup's processes and the signal to one of them."""

    others = ("pidfd_open", "pidfd_send_signal", "kill")

    def setUp(self):
        super().setUp()
        self.pod.up("other")
        self.init = self.pod.up("c", ["sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & while :; do wait; done"])
        self.assertTrue(eventually(lambda: len(self.members("c")) == 4))
        self.victim, *self.rest = [pid for pid in self.members("c") if pid != self.init]

    def group(self, name):
        return f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/{name}"

    def members(self, name):
        with open(f"{self.group(name)}/cgroup.procs") as file:
            return [int(line) for line in file]

    def all_told(self):
        for pid in self.rest:
            self.is_gone(pid)
        self.pod.state()

    def test_who_is_no_longer_in_the_cgroup_is_spared(self):
        """As whoever has got the number of somebody who was in it."""
        self.wanted = lambda call: call.name == "pidfd_open" and call.args[0] == self.victim
        self.pod.kill("c", signal.SIGTERM, all=True)
        opens = self.held_at("pidfd_open")
        for group in self.pod.cgroups.make("other"):
            with open(f"{group}/cgroup.procs", "w") as file:
                file.write(str(self.victim))
        self.supervisor.let_go(opens)
        self.all_told()
        self.assertTrue(alive(self.victim))

    def means_the_victim(self, call):
        if call.tid != self.pod.pid or call.name == "pidfd_open":
            return False
        if call.name == "kill":
            return call.args[0] == self.victim
        with open(f"/proc/{call.tid}/fdinfo/{call.args[0]}") as file:
            return f"Pid:\t{self.victim}\n" in file.read()

    def test_who_gets_the_number_after_the_look_is_spared(self):
        self.wanted = lambda call: call.name in self.others and self.means_the_victim(call)
        self.pod.kill("c", signal.SIGTERM, all=True)
        self.assertTrue(eventually(lambda: self.supervisor.held))
        os.kill(self.victim, signal.SIGKILL)
        self.is_gone(self.victim)
        self.assertEqual(born_as(self.victim), self.victim)
        try:
            self.let_all_go()
            self.all_told()
            self.assertTrue(alive(self.victim))
        finally:
            os.kill(self.victim, signal.SIGKILL)
            os.waitpid(self.victim, 0)


class Turns(Held):
    """How much is done between two looks at who else wants something."""

    others = ("epoll_wait", "kill", "pidfd_send_signal", "wait4")
    many = 600

    def setUp(self):
        self.values = {"pid": pb.NS_HOST if "reap" in self.id() else pb.NS_POD}
        super().setUp()
        shutil.copy(CROWD, f"{self.pod.layers}/base/bin/crowd")

    def crowd(self, controller="freezer"):
        group = f"/sys/fs/cgroup/{controller}/{self.pod.cgroups.name}/c"
        self.pod.up("c", ["crowd", str(self.many)], request={"kill_dir": group})
        self.assertTrue(eventually(lambda: "are here" in self.pod.output("c"), 30))
        with open(f"{group}/cgroup.procs") as file:
            members = [int(line) for line in file]
        self.seen = []
        self.wanted = lambda call: call.tid == self.pod.pid and self.seen.append(call.name)
        return members

    def are_bounded(self, name, most):
        """So many in one turn at most, and there was more than one turn's work."""
        turns = [0]
        for call in self.seen:
            if call == "epoll_wait":
                turns.append(0)
            turns[-1] += call == name
        self.assertGreaterEqual(sum(turns), self.many)
        self.assertLessEqual(max(turns), most)

    def is_over(self, members):
        self.assertTrue(eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in members), 30))

    def test_frozen_processes_are_killed_in_turns(self):
        members = self.crowd()
        self.pod.kill("c", all=True)
        self.is_over(members)
        self.are_bounded("kill", 256)

    def test_processes_that_must_be_held_are_killed_in_turns(self):
        members = self.crowd("pids")
        self.pod.kill("c", all=True)
        self.is_over(members)
        self.are_bounded("pidfd_send_signal", 256 // 8)

    def test_the_dead_are_reaped_in_turns(self):
        members = self.crowd()
        os.kill(self.pod.pid, signal.SIGSTOP)
        for pid in members:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(eventually(lambda: not any(alive(pid) for pid in members)))
        os.kill(self.pod.pid, signal.SIGCONT)
        self.is_over(members)
        self.are_bounded("wait4", 2 * 128 + 1)  # when told, and at the end of that turn; the container's on its own


if __name__ == "__main__":
    unittest.main()

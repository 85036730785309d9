"""Every allocation of a call refused in its turn, in the shim, its children or the log pump: the call says so or is done,
nothing of it stays, and the shim lives on."""

import errno
import os
import resource
import unittest

from harness import Pod, ShimError, comm, eventually, pb
from scarce import Scarcity

KILL_DIR = "/sys/fs/cgroup/freezer/{}/{}"


class WithoutMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scarcity = Scarcity()
        cls.pod = Pod(scarcity=cls.scarcity)
        cls.pod.up("c", ["sh", "-c", "while :; do sleep 0.05; done"])
        cls.pod.state()  # what the start needed is closed
        cls.idle = cls.fds()

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()
        cls.scarcity.close()

    @classmethod
    def fds(cls):
        return len(os.listdir(f"/proc/{cls.pod.pid}/fd"))

    def nothing_is_kept(self):
        self.assertTrue(eventually(lambda: self.fds() == self.idle), f"{self.idle} descriptors before, {self.fds()} now")

    def each_refused(self, call, undo=lambda: None, at_least=1, listed=("c",)):
        """How many allocations the call makes. `undo` is for what it has done when it was not refused."""
        pod, nth, refusals = self.pod, 0, 0
        while True:
            nth += 1
            self.scarcity.refuse(nth)
            try:
                call()
                done, told = True, None
            except (ShimError, EOFError, ConnectionError) as error:
                done, told = False, error
            felt = self.scarcity.felt()
            if isinstance(told, ShimError):
                self.assertEqual((told.kind, told.errno), ("KERNEL", errno.ENOMEM), f"{nth}: {told}")
            self.assertTrue(done or felt, f"{nth}: {told}")
            if done:
                undo()
            self.assertEqual(tuple(c.id for c in pod.state().containers), listed, f"{nth}: {told}")
            refusals += not done
            if not felt:
                self.assertGreaterEqual(nth - 1, at_least)
                self.assertGreater(refusals, 0)
                return nth - 1

    def test_create_start_and_delete(self):
        pod = self.pod

        def forget():
            pod.client.call(delete_container=pb.DeleteContainer(id="new"))

        def run():
            pod.create("new", ["true"])
            try:
                pod.begin("new")
                pod.client.wait_exit("new")
            except ShimError:
                forget()
                raise

        self.each_refused(run, forget, at_least=50)
        self.assertTrue(eventually(lambda: not os.path.exists(f"{pod.dir}/exits/new.tmp")))
        self.nothing_is_kept()

    def test_create_in_the_pid_namespace_of_another(self):
        pod = self.pod

        def forget():
            pod.client.call(delete_container=pb.DeleteContainer(id="joins"))

        self.each_refused(lambda: pod.create("joins", ["true"], pid=pb.NS_CONTAINER,
                                             request=dict(pid_target_id="c"),
                                             process=dict(seccomp=b"\6\0\0\0\0\0\xff\x7f")), forget, at_least=50)

    def test_exec(self):
        self.assertEqual(self.pod.exec("c", ["true"])[0], 0)
        self.each_refused(lambda: self.pod.exec("c", ["true"], seccomp=b"\6\0\0\0\0\0\xff\x7f"), at_least=10)
        self.assertEqual(self.pod.exec("c", ["true"])[0], 0)
        leaves = KILL_DIR.format(self.pod.cgroups.name, "c")
        self.assertTrue(eventually(lambda: not [d for d in os.listdir(leaves) if d.startswith("exec-")]))
        self.nothing_is_kept()

    def test_a_state_that_cannot_be_collected_is_not_told_as_empty(self):
        others = [f"{n:0120}" for n in range(14)]  # so that the answer is a large one
        for name in others:
            self.pod.create(name, ["true"])
        client = self.pod.connect()
        client.call(hello=pb.Hello(protocol=1))
        self.each_refused(lambda: client.call(get_state=pb.GetState()), at_least=2, listed=("c", *others))
        client.close()
        for name in others:
            self.pod.client.call(delete_container=pb.DeleteContainer(id=name))
        self.nothing_is_kept()

    def test_a_connection_that_cannot_be_kept_is_closed(self):
        def hello():
            client = self.pod.connect()
            try:
                client.call(hello=pb.Hello(protocol=1))
            finally:
                client.close()

        self.each_refused(hello)
        self.nothing_is_kept()

    def test_a_request_that_cannot_be_read_is_passed_over_and_answered(self):
        client = self.pod.connect()
        client.call(hello=pb.Hello(protocol=1))
        for size in (0, 100, 8000, 4 << 20):
            self.scarcity.refuse(1)
            with self.assertRaises(ShimError) as caught:
                client.call(start_container=pb.StartContainer(id="x" * size))
            self.assertEqual((caught.exception.step, caught.exception.errno), ("request", errno.ENOMEM))
            self.assertEqual(self.scarcity.felt(), 1)
        self.assertEqual(client.call(hello=pb.Hello(protocol=1)).pid, self.pod.pid)
        client.close()

    def test_a_kill_that_cannot_be_followed_up_reaches_who_is_there(self):
        leaves = KILL_DIR.format(self.pod.cgroups.name, "c")
        client, _, out, err = self.pod.exec("c", ["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & wait"],
                                            exec_id="many", wait=False)
        (leaf,) = [d for d in os.listdir(leaves) if d.startswith("exec-")]

        def members():
            try:
                with open(f"{leaves}/{leaf}/cgroup.procs") as file:
                    return file.read().split()
            except OSError:
                return []

        self.assertTrue(eventually(lambda: [comm(p) for p in members()].count("sleep") == 2))
        self.scarcity.refuse(2)  # the request itself is the first
        with self.assertRaises(ShimError) as caught:
            self.pod.client.call(kill_exec=pb.KillExec(exec_id="many"))
        self.assertEqual((caught.exception.step, caught.exception.errno), ("kill", errno.ENOMEM))
        self.assertEqual(self.scarcity.felt(), 1)
        self.assertEqual(client.wait_exec("many").exit_code, 137)
        self.assertTrue(eventually(lambda: not members()))
        client.close()
        os.close(out), os.close(err)
        self.assertTrue(eventually(lambda: not os.path.exists(f"{leaves}/{leaf}")))

    def end_of_an_exec_whose_kill_finds(self, refuse, relent):
        """Where the shim's walk through the cgroup is refused what it needs, nobody is forgotten."""
        leaves = KILL_DIR.format(self.pod.cgroups.name, "c")
        client, _, out, err = self.pod.exec("c", ["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & wait"],
                                            exec_id="walked", wait=False)
        (leaf,) = [d for d in os.listdir(leaves) if d.startswith("exec-")]
        procs = f"{leaves}/{leaf}/cgroup.procs"

        def members():
            try:
                with open(procs) as file:
                    return file.read().split()
            except OSError:
                return []

        self.assertTrue(eventually(lambda: [comm(p) for p in members()].count("sleep") == 2))
        asking = self.pod.connect()
        asking.call(hello=pb.Hello(protocol=1))
        refuse()
        self.pod.client.call(kill_exec=pb.KillExec(exec_id="walked"))
        for _ in range(20):  # turns of the loop
            try:
                asking.call(hello=pb.Hello(protocol=1))
            except ShimError as error:  # what the kill did not need was for the request that came next
                self.assertEqual((error.step, error.errno), ("request", errno.ENOMEM))
        asking.close()
        relent(members())
        self.assertTrue(eventually(lambda: not members()), members())
        self.assertEqual(client.wait_exec("walked").exit_code, 137)
        client.close()
        os.close(out), os.close(err)
        self.assertTrue(eventually(lambda: not os.path.exists(f"{leaves}/{leaf}")))
        self.nothing_is_kept()

    def test_a_kill_needs_no_memory_on_its_way(self):
        # The request, the kill and the name of its cgroup are the first three.
        self.end_of_an_exec_whose_kill_finds(lambda: self.scarcity.refuse(4), lambda _: self.scarcity.felt())

    def test_a_kill_waits_for_descriptors(self):
        _, hard = limits = resource.prlimit(self.pod.pid, resource.RLIMIT_NOFILE)

        def relent(living):
            self.assertGreaterEqual(len(living), 2)  # nothing was to be had: nobody could be found
            resource.prlimit(self.pod.pid, resource.RLIMIT_NOFILE, limits)

        self.addCleanup(resource.prlimit, self.pod.pid, resource.RLIMIT_NOFILE, limits)
        self.end_of_an_exec_whose_kill_finds(
            lambda: resource.prlimit(self.pod.pid, resource.RLIMIT_NOFILE, (3, hard)), relent)


class AtTheStart(unittest.TestCase):
    def test_a_pod_that_could_not_be_started_can_be_started_again(self):
        scarcity = Scarcity()
        pod = Pod(start=False, scarcity=scarcity)
        nth = 0
        while True:
            nth += 1
            scarcity.refuse(nth)
            try:
                pod.start()
                break
            except ShimError as error:
                self.assertEqual((error.kind, error.errno), ("KERNEL", errno.ENOMEM), f"{nth}: {error}")
                self.assertEqual(scarcity.felt(), 1)
        self.assertGreater(nth, 5)
        scarcity.felt()
        self.assertEqual(pod.run("c", ["true"]).exit_code, 0)
        pod.close()
        scarcity.close()

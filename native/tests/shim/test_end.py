"""Ends: of the pod, of pause, of a shim that cannot start."""

import os
import signal
import socket
import subprocess
import time
import unittest

from harness import SHIM, Pod, ShimError, alive, comm, eventually, pb
from reports import SANITIZED


class End(unittest.TestCase):
    def test_shutdown_of_an_empty_pod(self):
        Pod().close()

    def test_shutdown_before_the_pod_was_started(self):
        pod = Pod(start=False)
        pod.close()

    def test_shutdown_leaves_nothing(self):
        for pid in (pb.NS_NEW, pb.NS_POD, pb.NS_HOST):
            pod = Pod(pid=pid)
            with open("/proc/self/mountinfo") as file:
                before = file.read()
            pod.up("busy", ["sh", "-c", "trap '' TERM INT; while :; do setsid sleep 1000 & sleep 0.01; done"])
            pod.up("loud", ["yes"])
            pod.up("tty", ["sh"], tty=True)
            pod.create("waiting", ["true"])
            pod.run("ended", ["true"])
            client, _, out, err = pod.exec("busy", ["sh", "-c", "sleep 1000 & sleep 1000"], wait=False)
            pod.exec("busy", ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 0"])
            start = time.time()
            pod.close()  # checks processes, cgroups and mounts
            self.assertLess(time.time() - start, 9)
            os.close(out), os.close(err)
            with open("/proc/self/mountinfo") as file:
                self.assertEqual(file.read(), before)

    def test_version_2_cgroups_kill_by_their_own_word(self):
        """Where a version 2 hierarchy is mounted beside, its directory can be the one that kills."""
        unified = "/sys/fs/cgroup/unified"
        if not os.path.exists(f"{unified}/cgroup.procs"):
            self.skipTest("no version 2 hierarchy on this machine")
        pod = Pod(pid=pb.NS_POD)
        root = f"{unified}/{pod.cgroups.name}"
        os.makedirs(f"{root}/c")

        def members():
            found = []
            for base, _, _ in os.walk(root):
                with open(f"{base}/cgroup.procs") as file:
                    found += file.read().split()
            return found
        try:
            dirs = [pb.CgroupDir(dir=f"{root}/c", v2=True)]
            pod.create("c", ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"], cgroup_dirs=dirs,
                       request={"kill_dir": f"{root}/c", "kill_dir_v2": True, "oom_file": f"{root}/c/memory.events"})
            pod.begin("c")
            self.assertTrue(eventually(lambda: len(members()) == 2))
            code, out, _, late = pod.exec("c", ["sh", "-c", "grep 0:: /proc/self/cgroup; setsid sleep 99 & sleep 99"], timeout_ms=500)
            self.assertEqual((code, out, late), (137, "0::/exec-1\n", True))
            self.assertTrue(eventually(lambda: len(members()) == 2 and os.listdir(f"{root}/c").count("exec-1") == 0))
            pod.kill("c", all=True)
            pod.client.wait_exit("c")
            self.assertTrue(eventually(lambda: not members()))
        finally:
            pod.close()
            for base, _, _ in os.walk(root, topdown=False):
                os.rmdir(base)

    def test_exit_records_outlive_the_shim(self):
        pod = Pod()
        pod.run("one", ["sh", "-c", "exit 3"])
        pod.up("two")
        pod.shutdown()
        for name, code in (("one", 3), ("two", 137)):
            with open(f"{pod.dir}/exits/{name}", "rb") as file:
                self.assertEqual(pb.ExitRecord.FromString(file.read()).exit_code, code)
        pod.close()

    def test_signals_do_not_end_a_shim(self):
        with Pod() as pod:
            pod.up("a")
            for pid in [pod.pid] + [p for p in pod.descendants() if comm(p).startswith("berth")]:
                for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGXFSZ):
                    os.kill(pid, sig)
            time.sleep(0.1)
            self.assertEqual(pod.exec("a", ["true"])[0], 0)
            self.assertEqual(len([p for p in pod.descendants() if comm(p).startswith("berth")]), 2)

    def test_death_of_pause_is_seen(self):
        with Pod() as pod:
            pod.up("a")
            os.kill(pod.started.pause_pid, signal.SIGKILL)
            told = pod.client.wait_event(lambda event: event.WhichOneof("what") == "pause_ended")
            self.assertTrue(told)
            self.assertEqual(pod.state().pause_pid, 0)
            with self.assertRaises(ShimError) as caught:
                pod.create("late", ["true"])
            self.assertEqual(caught.exception.kind, "STATE")

    def test_a_shim_that_dies_is_told_by_its_socket_and_its_cgroup_holds_the_rest(self):
        pod = Pod()
        pod.create("created", ["true"])
        mine = [p for p in pod.descendants()]
        created = pod.state().containers[0].pid
        os.kill(pod.pid, signal.SIGKILL)
        with self.assertRaises((EOFError, ConnectionError)):
            pod.state()
        self.assertTrue(eventually(lambda: not alive(created)))  # its end of file
        with open(f"{pod.shim_cgroups[0]}/cgroup.procs") as file:
            left = {int(p) for p in file.read().split()}
        self.assertTrue(left <= set(mine))
        for p in left:
            os.kill(p, signal.SIGKILL)
        self.assertTrue(eventually(lambda: not any(alive(p) for p in mine)))
        self.assertTrue(eventually(lambda: not pod.cgroups.remove()))
        pod.ended = True
        os.system(f"rm -rf {pod.base}")

    def test_starting_without_what_it_needs(self):
        def start(args, setup):
            return subprocess.run(args, preexec_fn=setup, stderr=subprocess.PIPE, close_fds=False)
        result = start([SHIM, "pod"], lambda: os.closerange(3, 64))
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count(b"\n"), 1)
        self.assertTrue(result.stderr.startswith(b"berth-shim: "))

        def no_socket():
            os.closerange(3, 64)
            for fd in (3, 4):
                os.dup2(0, fd)
        result = start([SHIM, "pod"], no_socket)
        self.assertEqual((result.returncode, result.stderr.count(b"\n")), (1, 1), result.stderr)

    def test_descriptors_of_its_starter_are_closed(self):
        with Pod() as pod:
            targets = [os.readlink(f"/proc/{pod.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pod.pid}/fd")]
            self.assertLessEqual(len(targets), 13, targets)
            for pid in pod.descendants():
                if comm(pid) == "berth-log":
                    targets = [os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")]
                    self.assertEqual(sorted(targets), ["/dev/null"] * 3 + ["anon_inode", "socket"])

    def test_hundreds_of_containers_one_after_another_leak_nothing(self):
        with Pod() as pod:
            def figures():
                with open(f"/proc/{pod.pid}/status") as file:
                    rss = next(int(line.split()[1]) for line in file if line.startswith("VmData"))
                return rss, len(os.listdir(f"/proc/{pod.pid}/fd"))
            for i in range(20):
                pod.run(f"w{i}", ["true"])
                pod.client.call(delete_container=pb.DeleteContainer(id=f"w{i}"))
            before = figures()
            for i in range(150):
                pod.run(f"r{i}", ["true"])
                pod.client.call(delete_container=pb.DeleteContainer(id=f"r{i}"))
            self.assertLessEqual(figures()[1], before[1])
            if not SANITIZED:  # their quarantine of freed memory would be measured
                self.assertLessEqual(figures()[0], before[0] + 132)
            self.assertEqual(len(pod.state().containers), 0)


if __name__ == "__main__":
    unittest.main()

"""The pod's namespaces and what pause is."""

import os
import signal
import subprocess
import time
import unittest

from harness import Pod, ShimError, alive, comm, eventually, pb


def ns(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":", 1) for line in file)


class OwnNamespaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod(sysctls=[pb.Sysctl(name="net.ipv4.ip_unprivileged_port_start", value="81"),
                               pb.Sysctl(name="kernel.shm_rmid_forced", value="1")])

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def test_containers_share_the_pods_and_nothing_of_the_nodes(self):
        a, b = self.pod.up("a"), self.pod.up("b")
        pause = self.pod.started.pause_pid
        for kind in ("net", "ipc", "uts"):
            self.assertEqual(len({ns(p, kind) for p in (a, b, pause)}), 1, kind)
            self.assertNotEqual(ns(a, kind), ns("self", kind))
        for kind in ("mnt", "pid", "cgroup"):
            self.assertEqual(len({ns(p, kind) for p in (a, b, "self")}), 3, kind)
        self.assertNotEqual(ns(a, "mnt"), ns(pause, "mnt"))

    def test_hostname_and_sysctls(self):
        self.pod.run("names", ["sh", "-c", "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                               "/proc/sys/kernel/shm_rmid_forced"])
        self.assertEqual(self.pod.output("names").split(), ["pod-host", "81", "1"])
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            self.assertNotEqual(file.read().strip(), "81")

    def test_a_container_may_have_sysctls_of_its_own_but_not_the_nodes(self):
        self.pod.run("own", ["cat", "/proc/sys/net/ipv4/ip_default_ttl"],
                     sysctls=[pb.Sysctl(name="net.ipv4.ip_default_ttl", value="33")])
        self.assertEqual(self.pod.output("own").strip(), "33")
        for name in ("kernel.core_pattern", "net..x", "net/core", "a+kernel.core_pattern=|x"):
            with self.assertRaises(ShimError) as caught:
                self.pod.create("evil", ["true"], sysctls=[pb.Sysctl(name=name, value="x")])
            self.assertEqual((caught.exception.kind, caught.exception.step), ("BAD_MESSAGE", "sysctl"))

    def test_shm_is_one_for_the_pod_and_not_in_the_nodes_mounts(self):
        with open("/proc/self/mountinfo") as file:
            before = file.read()
        self.pod.up("shm1", ["sh", "-c", "echo shared > /dev/shm/x; df -k /dev/shm > /dev/shm/size; sleep 1000"])
        self.assertTrue(eventually(lambda: self.pod.exec("shm1", ["test", "-s", "/dev/shm/size"])[0] == 0))
        self.pod.run("shm2", ["sh", "-c", "cat /dev/shm/x; tail -1 /dev/shm/size; stat -c %a /dev/shm"])
        lines = self.pod.output("shm2").splitlines()
        self.assertEqual((lines[0], lines[1].split()[1], lines[2]), ("shared", str(64 << 10), "1777"))
        with open("/proc/self/mountinfo") as file:
            self.assertEqual(file.read(), before)
        self.assertFalse(os.path.exists("/dev/shm/x"))

    def test_pause_is_nobody_and_can_nothing(self):
        pause = self.pod.started.pause_pid
        self.assertEqual(comm(pause), "berth-pause")
        about = status(pause)
        self.assertEqual((about["Uid"].split(), about["Gid"].split()), (["65535"] * 4, ["65535"] * 4))
        self.assertEqual(about["Groups"].strip(), "")
        for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(about[caps], 16), 0, caps)
        self.assertEqual((about["NoNewPrivs"].strip(), about["Seccomp"].strip()), ("1", "2"))
        self.assertEqual(os.listdir(f"/proc/{pause}/fd"), [])
        with open(f"/proc/{pause}/mountinfo") as file:
            mounts = [line.split() for line in file]
        self.assertEqual(sorted(m[4] for m in mounts), ["/", "/null", "/shm"])
        root = next(m for m in mounts if m[4] == "/")
        self.assertEqual(root[root.index("-") + 1:][:2] + root[-1].split(",")[:1], ["tmpfs", "berth-pod", "ro"])
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.kill(pause, sig)
        time.sleep(0.05)
        self.assertTrue(alive(pause))

    def test_target_container_gives_its_pid_namespace(self):
        target = self.pod.up("target", ["sh", "-c", "sleep 4242"])
        debug = self.pod.up("debug", ["sleep", "1000"], pid=pb.NS_CONTAINER, request={"pid_target_id": "target"})
        self.assertEqual(ns(target, "pid"), ns(debug, "pid"))
        self.assertIn("sleep 4242", self.pod.exec("debug", ["ps"])[1])
        with self.assertRaises(ShimError) as caught:
            self.pod.create("lost", ["true"], pid=pb.NS_CONTAINER, request={"pid_target_id": "nobody"})
        self.assertEqual(caught.exception.kind, "NOT_FOUND")

    def test_processes_in_a_pid_namespace_of_their_own_end_with_init(self):
        self.pod.run("leaves", ["sh", "-c", "setsid sleep 3131 & exit 0"])
        self.assertTrue(eventually(lambda: not self.pod_members("leaves")))

    def pod_members(self, name):
        with open(f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/{name}/cgroup.procs") as file:
            return [p for p in file.read().split() if alive(int(p))]


class SharedPidNamespace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod(pid=pb.NS_POD)

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def members(self, name):
        found = []
        for base, _, _ in os.walk(f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/{name}"):
            with open(f"{base}/cgroup.procs") as file:
                found += [p for p in file.read().split() if alive(int(p))]
        return found

    def test_pause_is_the_pods_first_process(self):
        self.pod.up("a")
        out = self.pod.exec("a", ["ps"])[1]
        self.assertRegex(out, r"\b1 65535\s+(\[|\{)?berth-pause")

    def test_no_procfs_without_masks_is_reached_through_pause(self):
        every = (1 << 41) - 1
        caps = dict(cap_permitted=every, cap_effective=every, cap_bounding=every)
        self.pod.up("tracer", process=caps)
        self.assertIn("null", self.pod.exec("tracer", ["ls", "/proc/1/root/"], **caps)[1])  # it does get there
        self.assertEqual(self.pod.exec("tracer", ["ls", "-A", "/proc/1/root/proc"], **caps)[:3], (0, "", ""))
        with open(f"/proc/{self.pod.started.pause_pid}/mountinfo") as file:
            self.assertEqual(sorted(line.split()[4] for line in file), ["/", "/null", "/shm"])

    def test_pause_reaps_what_nobody_waits_for(self):
        pid = self.pod.up("parent", ["sh", "-c", "for i in 1 2 3 4 5; do sh -c 'sleep 0.1 & exit 0'; done; sleep 1000"])
        self.assertTrue(eventually(lambda: "sleep 1000" in self.pod.exec("parent", ["ps"])[1]))
        # Neither alive nor as zombies, which ps shows in brackets.
        self.assertTrue(eventually(lambda: "sleep 0.1" not in (out := self.pod.exec("parent", ["ps"])[1])
                                   and "[sleep]" not in out))
        self.assertTrue(alive(pid))

    def test_what_a_container_leaves_behind_is_killed(self):
        self.pod.up("survivor", ["sleep", "2222"])
        exit = self.pod.run("messy", ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do setsid sleep 3333 & done; exit 6"])
        self.assertEqual(exit.exit_code, 6)
        self.assertTrue(eventually(lambda: not self.members("messy")))
        self.assertEqual(len(self.members("survivor")), 1)

    def test_a_fork_bomb_is_ended(self):
        self.pod.create("bomb", ["sh", "-c", "f() { while :; do (f) & sleep 0.01; done; }; f"])
        with open(f"/sys/fs/cgroup/pids/{self.pod.cgroups.name}/bomb/pids.max", "w") as file:
            file.write("100")
        self.pod.begin("bomb")
        time.sleep(0.5)
        self.pod.kill("bomb", signal.SIGKILL, all=True)
        self.pod.client.wait_exit("bomb")
        self.assertTrue(eventually(lambda: not self.members("bomb"), 10))

    def test_signals_to_all_reach_all(self):
        script = "trap 'echo $0 got; exit' TERM; while :; do sleep 0.05; done"
        self.pod.up("group", ["sh", "-c", f"sh -c \"{script.replace('$', chr(92) + '$')}\" child & {script}", "init"])
        time.sleep(0.3)
        self.pod.kill("group", signal.SIGTERM, all=True)
        self.pod.client.wait_exit("group")
        self.assertIn("init got", self.pod.output("group"))

    def test_nobody_in_the_pod_can_write_to_our_program(self):
        """CVE-2019-5736: /proc/<pid>/exe of pause, and of an exec on its way, is on a read-only mount."""
        self.pod.up("attacker", process={"cap_permitted": (1 << 41) - 1, "cap_effective": (1 << 41) - 1,
                                         "cap_bounding": (1 << 41) - 1})
        code, out, err, _ = self.pod.exec(
            "attacker", ["sh", "-c", "if echo x >> /proc/1/exe; then echo WRITTEN; fi; dd if=/dev/zero of=/proc/1/mem count=1 "
                         "&& echo WRITTEN; ls /proc/1/fd/ /proc/1/root/; true"],
            cap_permitted=(1 << 41) - 1, cap_effective=(1 << 41) - 1, cap_bounding=(1 << 41) - 1)
        self.assertNotIn("WRITTEN", out, err)
        code, out, err, _ = self.pod.exec("attacker", ["sh", "-c", "(echo x >> /proc/1/exe) 2>&1; cat /proc/1/environ; ls -l /proc/1/cwd"],
                                          uid=0)
        self.assertNotIn("WRITTEN", out)
        self.assertRegex(out + err, "Permission denied|Read-only|Text file busy")


class NodeNamespaces(unittest.TestCase):
    def test_host_everything(self):
        with Pod(pid=pb.NS_HOST, net=pb.NS_HOST, ipc=pb.NS_HOST, uts=pb.NS_HOST) as pod:
            a = pod.up("a", ["sh", "-c", "touch /dev/shm/berth-test-mark; setsid sleep 1000 & sleep 1000"])
            for kind in ("net", "ipc", "uts", "pid"):
                self.assertEqual(ns(a, kind), ns("self", kind), kind)
            self.assertNotEqual(ns(a, "mnt"), ns("self", "mnt"))
            try:
                self.assertTrue(eventually(lambda: os.path.exists("/dev/shm/berth-test-mark")))  # the node's own
            finally:
                os.unlink("/dev/shm/berth-test-mark")
            # Orphans in the node's pid namespace come to the shim and are killed with their container.
            pod.kill("a")
            pod.client.wait_exit("a")
            self.assertTrue(eventually(lambda: len([p for p in pod.descendants() if alive(p)]) == 2))

    def test_a_handed_over_network_namespace(self):
        keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
        keeper.stdout.readline()
        try:
            wanted = ns(keeper.pid, "net")
            net = os.open(f"/proc/{keeper.pid}/ns/net", os.O_RDONLY)
            pod = Pod(net=pb.NS_POD, net_fd=net)
            os.close(net)
            with pod:
                keeper.kill()
                keeper.wait()
                self.assertEqual(ns(pod.up("a"), "net"), wanted)
                self.assertNotIn(wanted, [os.readlink(f"/proc/{pod.pid}/fd/{f}") for f in os.listdir(f"/proc/{pod.pid}/fd")])
        finally:
            keeper.kill()
            keeper.wait()
            keeper.stdout.close()

    def test_a_bad_sysctl_fails_the_pod_and_the_shim_still_ends(self):
        pod = Pod(start=False)
        with pod:
            for name, kind in (("kernel.core_pattern", "BAD_MESSAGE"), ("net.no.such", "KERNEL")):
                with self.assertRaises(ShimError) as caught:
                    pod.start(sysctls=[pb.Sysctl(name=name, value="1")])
                self.assertEqual((caught.exception.kind, caught.exception.path), (kind, name))
            pod.start()
            self.assertEqual(pod.run("works", ["true"]).exit_code, 0)


if __name__ == "__main__":
    unittest.main()

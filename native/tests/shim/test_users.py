"""Pods whose root is not the node's."""

import os
import signal
import subprocess
import threading
import time
import unittest

from harness import SHIM, Pod, ShimError, alive, eventually, libc, pb
from streams import Talk

BASE, LENGTH = 200000, 65536
EVERY_CAP = (1 << 41) - 1


def users(base=BASE, length=LENGTH):
    one = [pb.IdMap(container_id=0, host_id=base, length=length)]
    return dict(requires=["user-namespaces"], user=pb.NS_POD, uid_maps=one, gid_maps=one)


def ns(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def ids(pid, line="Uid"):
    with open(f"/proc/{pid}/status") as file:
        return next(l.split()[1] for l in file if l.startswith(line + ":"))


class UserPod(Pod):
    def __init__(self, **values):
        super().__init__(**{**users(), **values})  # below a directory that nobody but the node's root may enter

    def plan(self, name, args, **values):
        return super().plan(name, args, **{"user": pb.NS_POD, **values})


class Users(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = UserPod()

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def test_root_inside_is_somebody_else_on_the_node(self):
        pid = self.pod.up("root")
        self.assertEqual(ids(pid), str(BASE))
        self.assertEqual(ids(pid, "Gid"), str(BASE))
        self.assertNotEqual(ns(pid, "user"), ns("self", "user"))
        self.assertEqual(ns(pid, "user"), ns(self.pod.started.pause_pid, "user"))
        with open(f"/proc/{pid}/uid_map") as file:
            self.assertEqual(file.read().split(), ["0", str(BASE), str(LENGTH)])
        self.assertEqual(self.pod.exec("root", ["id", "-u"])[:2], (0, "0\n"))
        self.assertIn(pid, [entry.pid for entry in self.pod.state().containers])

    def test_terminals_belong_to_the_pods_users(self):
        self.pod.up("tty", ["sh", "-c", "while read x; do echo got $x; done"], tty=True, request={"stdin": True})
        with Talk.attach(self.pod, "tty", stderr=False) as talk:
            talk.write(b"word\n")
            talk.read_until(b"got word")
        with Talk.exec(self.pod, "tty", ["sh", "-c", "stat -L -c %u /proc/self/fd/0; stty size; cat"], tty=True, rows=5,
                       columns=6) as talk:
            talk.read_until(b"0\r\n5 6\r\n")
            talk.write(b"\x04")
            self.assertEqual(talk.exit_code(), 0)

    def test_every_namespace_belongs_to_the_pods_users(self):
        import fcntl
        pid = self.pod.up("owned")
        ns_get_userns = 0xB701
        for kind in ("net", "ipc", "uts", "pid", "mnt", "cgroup"):
            with open(f"/proc/{pid}/ns/{kind}") as file:
                owner = fcntl.ioctl(file, ns_get_userns)
            try:
                self.assertEqual(os.readlink(f"/proc/self/fd/{owner}"), ns(pid, "user"), kind)
            finally:
                os.close(owner)

    def test_the_images_files_are_roots_and_what_is_written_is_the_pods(self):
        self.pod.run("files", ["sh", "-c", "stat -c '%u %g' /bin/busybox; touch /made /tmp/too; stat -c %u /made"])
        self.assertEqual(self.pod.output("files").split(), ["0", "0", "0"])
        made = os.stat(f"{self.pod.base}/containers/files/upper/made")
        self.assertEqual((made.st_uid, made.st_gid), (BASE, BASE))
        self.assertEqual(os.stat(f"{self.pod.layers}/base/bin/busybox").st_uid, 0)

    def test_devices_proc_and_sys_are_there(self):
        script = ("echo x > /dev/null && head -c 4 /dev/zero | wc -c; cat /proc/1/comm; test -d /sys/class && "
                  "hostname; ls /dev | tr '\\n' ' '; echo; head -n 1 /proc/self/cgroup; ls /sys/fs/cgroup | wc -l")
        self.pod.run("kernel", ["sh", "-c", script])
        lines = self.pod.output("kernel").splitlines()
        self.assertEqual(lines[:3], ["4", "sh", "pod-host"], lines)
        for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue"):
            self.assertIn(name, lines[3].split())
        self.assertTrue(lines[4].endswith(":/"), lines)
        self.assertGreater(int(lines[5]), 0)

    def test_shm_and_streams_belong_to_whoever_runs(self):
        script = "echo one > /dev/shm/mine; echo out > /dev/stdout; echo err > /dev/stderr; stat -c %u /dev/shm/mine"
        record = self.pod.run("streams", ["sh", "-c", script], process=dict(uid=1000, gid=1000))
        self.assertEqual(record.exit_code, 0, self.pod.records("streams"))
        self.assertEqual(self.pod.output("streams").split(), ["out", "1000"])

    def test_all_capabilities_reach_no_further_than_the_pod(self):
        caps = dict(cap_bounding=EVERY_CAP, cap_effective=EVERY_CAP, cap_permitted=EVERY_CAP)
        script = ("mount -t tmpfs none /tmp && echo mounted; hostname changed && hostname; "
                  "echo 1 > /proc/sys/kernel/panic; mount -o remount,rw /sys; echo $?; "
                  "cat /proc/1/environ > /dev/null && echo own")
        self.pod.run("mighty", ["sh", "-c", script], process=caps, masked=[], readonly=[])
        lines = self.pod.output("mighty").splitlines()
        self.assertEqual(lines[:2], ["mounted", "changed"])
        with open("/proc/sys/kernel/panic") as file:
            before = file.read()
        self.pod.run("evil", ["sh", "-c", "echo 77 > /proc/sys/kernel/panic; true"], process=caps, readonly=[])
        with open("/proc/sys/kernel/panic") as file:
            self.assertEqual(file.read(), before)
        self.pod.run("back", ["hostname", "pod-host"], process=caps)

    def test_idmapped_volumes_are_the_pods_and_others_are_not(self):
        source = f"{self.pod.base}/volume"
        os.makedirs(source)
        with open(f"{source}/file", "w") as file:
            file.write("text\n")
        os.chmod(f"{source}/file", 0o600)
        bind = dict(kind=pb.Mount.BIND, source=source, flags=0, recursive=True, volume=True)
        mounts = [pb.Mount(destination="/mapped", idmapped=True, **bind), pb.Mount(destination="/plain", **bind)]
        self.pod.run("volumes", ["sh", "-c", "cat /mapped/file; touch /mapped/new; cat /plain/file; stat -c %u /plain"],
                     mounts=mounts)
        self.assertEqual(self.pod.output("volumes").split(), ["text", "65534"])
        self.assertEqual(os.stat(f"{source}/new").st_uid, 0)

    def test_nothing_of_it_is_in_the_nodes_mounts(self):
        with open("/proc/self/mountinfo") as file:
            before = file.read()
        self.pod.up("mounts")
        with open("/proc/self/mountinfo") as file:
            self.assertEqual(file.read(), before)

    def test_a_terminal(self):
        self.pod.run("terminal", ["sh", "-c", "tty; stat -c %u $(tty)"], tty=True)
        self.assertEqual(self.pod.output("terminal").split(), ["/dev/pts/0", "0"])

    def test_an_exec_as_a_user(self):
        self.pod.up("target")
        self.assertEqual(self.pod.exec("target", ["sh", "-c", "id -u; echo x > /dev/stderr"], uid=33, gid=33)[:3],
                         (0, "33\n", "x\n"))

    def test_an_exit_and_a_setup_that_fails_are_told(self):
        self.assertEqual(self.pod.run("three", ["sh", "-c", "exit 3"]).exit_code, 3)
        with self.assertRaises(ShimError) as caught:
            self.pod.create("bad", ["true"], process=dict(cwd="/etc/passwd", create_cwd=False))
        self.assertEqual(caught.exception.step, "chdir")
        lost = pb.Mount(kind=pb.Mount.BIND, source="/nowhere/at/all", destination="/x", volume=True)
        with self.assertRaises(ShimError) as caught:
            self.pod.create("lost", ["true"], mounts=[lost])
        self.assertEqual(caught.exception.path, "/nowhere/at/all")

    @unittest.skipUnless(os.path.exists("/proc/self/attr/exec"), "no security modules in this kernel")
    def test_labels_are_written_by_who_has_opened_them(self):
        """The kernel refuses another's descriptor with EPERM before any module sees what was written."""
        for label, step in (("apparmor_profile", "apparmor"), ("selinux_label", "selinux")):
            with self.assertRaises(ShimError) as caught:
                self.pod.create(f"label-{step}", ["true"], process={label: "no-such-label"})
            self.assertEqual(caught.exception.step, step)
            self.assertNotIn(caught.exception.errno, (1, 13))

    def test_a_container_of_the_nodes_users_is_refused(self):
        with self.assertRaises(ShimError) as caught:
            self.pod.create("plain", ["true"], user=pb.NS_HOST)
        self.assertEqual(caught.exception.step, "user")


class Killed(unittest.TestCase):
    def test_a_setup_that_is_killed_at_any_moment_leaves_nothing(self):
        """Either of the two children may die first, and be reaped first."""
        with UserPod() as pod:
            for round in range(40):
                name = f"killed{round}"
                stop = threading.Event()

                def kill_all():
                    time.sleep(round * 0.0003)
                    while not stop.is_set():
                        try:
                            with open(f"/sys/fs/cgroup/freezer/{pod.cgroups.name}/{name}/cgroup.procs") as file:
                                for member in file.read().split():
                                    os.kill(int(member), signal.SIGKILL)
                        except OSError:
                            pass

                plan = pod.plan(name, ["true"]).SerializeToString()
                killer = threading.Thread(target=kill_all)
                killer.start()
                try:
                    pod.create(name, [], plan=plan)
                except ShimError:
                    pass  # mostly; a late killer finds it created
                finally:
                    stop.set()
                    killer.join()
            self.assertEqual(pod.run("after", ["true"]).exit_code, 0)


class SharedPids(unittest.TestCase):
    def test_a_pod_with_one_pid_namespace(self):
        with UserPod(pid=pb.NS_POD) as pod:
            pod.up("one", ["sleep", "4711"])
            pod.up("two", ["sleep", "1000"], sysctls=[pb.Sysctl(name="net.ipv4.ip_default_ttl", value="35")])
            self.assertIn("sleep 4711", pod.exec("two", ["ps"])[1])
            self.assertEqual(pod.exec("two", ["ls", "/proc/1/root"])[0], 1)


    def test_a_container_that_joins_anothers_pids(self):
        with UserPod() as pod:
            pod.up("one", ["sh", "-c", "while :; do sleep 100; done"])
            pod.run("debug", ["sh", "-c", "cat /proc/1/comm; id -u; tty; grep -c . /proc/self/uid_map"], pid=pb.NS_CONTAINER,
                    tty=True, request={"pid_target_id": "one"}, sysctls=[pb.Sysctl(name="net.ipv4.ip_default_ttl", value="34")])
            self.assertEqual(pod.output("debug").split(), ["sh", "0", "/dev/pts/0", "1"])
            self.assertEqual(pod.exec("one", ["cat", "/proc/sys/net/ipv4/ip_default_ttl"])[1], "34\n")


class Refused(unittest.TestCase):
    def refused(self, **plan):
        pod = Pod(start=False)
        try:
            with self.assertRaises(ShimError) as caught:
                pod.start(**plan)
            self.assertEqual((caught.exception.kind, caught.exception.step), ("BAD_MESSAGE", "user"))
        finally:
            pod.close()

    def test_maps_that_are_not_one_range_from_root(self):
        good = pb.IdMap(container_id=0, host_id=BASE, length=LENGTH)
        other = pb.IdMap(container_id=1, host_id=BASE, length=LENGTH)
        for maps in ([], [other], [good, other], [pb.IdMap(container_id=0, host_id=2**32 - 1, length=2)]):
            self.refused(user=pb.NS_POD, uid_maps=maps, gid_maps=[good])

    def test_the_nodes_network(self):
        self.refused(**users(), net=pb.NS_HOST)

    def test_a_small_range(self):
        with Pod(start=False) as pod:
            pod.start(**users(length=100))
            self.assertEqual(ids(pod.started.pause_pid), str(BASE + 99))

    def test_many_pods_come_and_go(self):
        for _ in range(10):
            with UserPod() as pod:
                pid = pod.up("main")
            self.assertTrue(eventually(lambda: not alive(pid)))

    def test_whether_users_can_be_mapped_is_tried_and_not_guessed(self):
        run = lambda setup=None: subprocess.run([SHIM, "--can-map-users"], preexec_fn=setup).returncode
        self.assertEqual(run(), 0)
        self.assertEqual(run(lambda: libc.prctl(24, 21, 0, 0, 0)), 1)  # PR_CAPBSET_DROP, CAP_SYS_ADMIN


if __name__ == "__main__":
    unittest.main()

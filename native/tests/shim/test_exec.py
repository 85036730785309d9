"""Commands run in a container."""

import errno
import os
import signal
import time
import unittest

from harness import Pod, ShimError, alive, eventually, pb


class Exec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.init = cls.pod.up("c", ["sh", "-c", "while :; do sleep 1; done"], process={"env": [b"PATH=/bin", b"MINE=init"]})

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def leaves(self):
        base = f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/c"
        return [d for d in os.listdir(base) if d.startswith("exec-")]

    def members(self):
        """Processes in the container's exec leaves."""
        found = []
        for leaf in self.leaves():
            try:
                with open(f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/c/{leaf}/cgroup.procs") as file:
                    found += file.read().split()
            except OSError:
                pass
        return found

    def test_a_group_that_is_not_its_own_stops_it_and_is_left(self):
        group = f"/sys/fs/cgroup/freezer/{self.pod.cgroups.name}/c"
        _, mine, _, _ = self.pod.exec("c", ["cat", "/proc/self/cgroup"])
        (number,) = {int(line.rsplit("/exec-", 1)[1]) for line in mine.splitlines() if "/exec-" in line}
        theirs = f"{group}/exec-{number + 1}"
        os.mkdir(theirs)
        with self.assertRaises(ShimError) as caught:
            self.pod.exec("c", ["true"])
        self.assertEqual((caught.exception.step, caught.exception.errno), ("cgroup", errno.EEXIST))
        self.assertTrue(os.path.isdir(theirs))
        os.rmdir(theirs)

    def test_output_and_exit_code(self):
        self.assertEqual(self.pod.exec("c", ["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in"),
                         (3, "in", "err\n", False))

    def test_is_in_the_container(self):
        same = ("for n in mnt pid net ipc uts cgroup; do "
                "[ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || exit 1; done")
        self.assertEqual(self.pod.exec("c", ["sh", "-c", same])[0], 0)
        code, out, _, _ = self.pod.exec("c", ["sh", "-c", "cat /proc/self/cgroup; hostname; cat /proc/1/environ"])
        self.assertEqual(code, 0)
        self.assertIn("pod-host", out)
        self.assertIn("MINE=init", out)
        for line in out.splitlines():
            if line[0].isdigit() and ":freezer:" in line:
                self.assertRegex(line, r":/exec-\d+$")
            elif line[0].isdigit() and ":" in line and not line.endswith(("0::/", "blkio:/")) and line.count(":") == 2:
                self.assertTrue(line.endswith(":/"), line)

    def test_killed_by_signal(self):
        self.assertEqual(self.pod.exec("c", ["sh", "-c", "kill -9 $$"])[0], 137)

    def test_failure_to_execute_is_told_with_its_reason(self):
        made = ("mkdir -p /odd/tool; printf '#!/no/such' >/odd/orphan; printf x >/odd/data; ln -s loop /odd/loop; "
                "printf x >/odd/closed; chmod 755 /odd/orphan /odd/data")
        self.assertEqual(self.pod.exec("c", ["sh", "-c", made])[0], 0)
        found = {"env": [b"PATH=/etc:/odd"]}
        for args, path, error in ((["no-such"], {}, errno.ENOENT), (["/no/such"], {}, errno.ENOENT),
                                  (["/odd/data/x"], {}, errno.ENOTDIR), (["/odd/loop"], {}, errno.ELOOP),
                                  (["/etc/noexec"], {}, errno.EACCES), (["/etc"], {}, errno.EISDIR),
                                  (["/odd/orphan"], {}, errno.ELIBACC), (["/odd/data"], {}, errno.ENOEXEC),
                                  (["/" + "x/" * 2046], {}, errno.ENOENT), (["/" + 300 * "x"], {}, errno.ENAMETOOLONG),
                                  (["tool"], found, errno.ENOENT), (["closed"], found, errno.EACCES),
                                  (["orphan"], found, errno.ELIBACC)):
            with self.assertRaises(ShimError) as caught:
                self.pod.exec("c", args, **path)
            self.assertEqual((caught.exception.kind, caught.exception.step, caught.exception.errno),
                             ("START", "execve", error), args)
        with self.assertRaises(ShimError) as caught:
            self.pod.exec("c", ["true"], cwd="/not/there")
        self.assertEqual((caught.exception.kind, caught.exception.step), ("START", "chdir"))
        self.assertTrue(eventually(lambda: not self.leaves()))

    def test_timeout_kills_the_whole_tree(self):
        start = time.time()
        code, out, _, late = self.pod.exec("c", ["sh", "-c", "setsid sleep 777 & sleep 777 & echo on; sleep 777"],
                                           timeout_ms=300)
        self.assertEqual((code, out, late), (137, "on\n", True))
        self.assertLess(time.time() - start, 1.3)  # pipes closed within a second
        self.assertTrue(eventually(lambda: not self.leaves()))

    def test_timeout_holds_when_the_caller_is_gone(self):
        client, started, out, err = self.pod.exec("c", ["sleep", "888"], timeout_ms=300, wait=False)
        client.close()
        time.sleep(0.1)
        self.assertTrue(alive(started.pid))
        self.assertTrue(eventually(lambda: not alive(started.pid), 2))
        os.close(out), os.close(err)

    def test_goes_on_when_the_caller_is_gone(self):
        client, started, out, err = self.pod.exec("c", ["sh", "-c", "sleep 0.3; touch /went-on"], wait=False)
        client.close()
        self.assertTrue(eventually(lambda: self.pod.exec("c", ["test", "-e", "/went-on"])[0] == 0))
        os.close(out), os.close(err)

    def test_background_child_of_a_successful_exec_lives(self):
        code, _, _, _ = self.pod.exec("c", ["sh", "-c", "sleep 999 >/dev/null 2>&1 & exit 0"], timeout_ms=400)
        self.assertEqual(code, 0)
        time.sleep(0.8)
        self.assertEqual(len(self.members()), 1)
        os.kill(int(self.members()[0]), signal.SIGKILL)
        self.assertTrue(eventually(lambda: not self.leaves(), 6))

    def test_kill_exec_ends_its_tree(self):
        client, started, out, err = self.pod.exec("c", ["sh", "-c", "sleep 666 & sleep 666"], exec_id="victim", wait=False)
        self.pod.client.call(kill_exec=pb.KillExec(exec_id="victim"))
        self.assertEqual(client.wait_exec("victim").exit_code, 137)
        self.assertTrue(eventually(lambda: not self.leaves()))
        client.close(), os.close(out), os.close(err)

    def test_wrong_calls(self):
        cases = (("NOT_FOUND", dict(container_id="nobody", exec_id="e")), ("STATE", dict(container_id="c", exec_id="")))
        null = os.open("/dev/null", os.O_RDWR)
        for kind, values in cases:
            with self.assertRaises(ShimError) as caught:
                self.pod.connect().call((null, null, null), exec=pb.Exec(process=b"", **values))
            self.assertEqual(caught.exception.kind, kind)
        with self.assertRaises(ShimError) as caught:
            self.pod.client.call(exec=pb.Exec(container_id="c", exec_id="nofds"))
        self.assertEqual(caught.exception.kind, "BAD_MESSAGE")
        with self.assertRaises(ShimError) as caught:
            self.pod.connect().call((null, null, null), exec=pb.Exec(container_id="c", exec_id="bad", process=b"\xff\xff"))
        self.assertEqual(caught.exception.kind, "BAD_MESSAGE")
        os.close(null)
        self.assertTrue(eventually(lambda: not self.leaves()))

    def test_confinement_is_that_of_its_process(self):
        code, out, _, _ = self.pod.exec("c", ["sh", "-c", "grep -E 'Uid|Gid|Groups|Cap|NoNew|Umask' /proc/self/status; "
                                              "ls /proc/self/fd"],
                                        uid=1000, gid=1001, groups=[7, 8], umask=0o077, no_new_privs=True,
                                        cap_bounding=0, cap_effective=0, cap_permitted=0)
        self.assertEqual(code, 0)
        status = dict(line.split(":\t") for line in out.splitlines() if ":\t" in line)
        self.assertEqual(status["Uid"].split(), ["1000"] * 4)
        self.assertEqual(status["Gid"].split(), ["1001"] * 4)
        self.assertEqual(status["Groups"].split(), ["7", "8"])
        self.assertEqual({status[c] for c in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}, {"0" * 16})
        self.assertEqual((status["NoNewPrivs"], status["Umask"]), ("1", "0077"))
        self.assertEqual(out.split()[-4:], ["0", "1", "2", "3"])

    def test_flags_of_a_filter_reach_the_kernel(self):
        allow = b"\6\0\0\0\0\0\xff\x7f"
        log, spec_allow, wait_killable = 1 << 1, 1 << 2, 1 << 5
        self.assertEqual(self.pod.exec("c", ["true"], seccomp=allow, seccomp_flags=log | spec_allow)[0], 0)
        with self.assertRaises(ShimError) as caught:  # nobody listens, says the kernel
            self.pod.exec("c", ["true"], seccomp=allow, seccomp_flags=wait_killable)
        self.assertEqual((caught.exception.step, caught.exception.errno), ("seccomp", errno.EINVAL))

    def test_a_profile_whose_name_does_not_fit_is_not_cut_to_another_ones(self):
        with self.assertRaises(ShimError) as caught:
            self.pod.exec("c", ["true"], apparmor_profile="x" * 600)
        self.assertEqual((caught.exception.step, caught.exception.errno), ("apparmor", errno.ENAMETOOLONG))

    def test_many_at_once_leak_nothing(self):
        def shim_fds():
            return len(os.listdir(f"/proc/{self.pod.pid}/fd"))
        before = shim_fds()
        running = [self.pod.exec("c", ["sh", "-c", f"sleep 0.2; exit {i}"], exec_id=f"many{i}", wait=False) for i in range(20)]
        for i, (client, _, out, err) in enumerate(running):
            self.assertEqual(client.wait_exec(f"many{i}").exit_code, i)
            client.close(), os.close(out), os.close(err)
        self.assertTrue(eventually(lambda: shim_fds() <= before and not self.leaves()))

    def test_execs_end_with_their_container(self):
        self.pod.up("short", ["sleep", "0.5"])
        client, started, out, err = self.pod.exec("short", ["sleep", "555"], exec_id="orphan", wait=False)
        self.pod.client.wait_exit("short")
        self.assertEqual(client.wait_exec("orphan").exit_code, 137)
        client.close(), os.close(out), os.close(err)

    def test_after_the_exit_there_is_no_exec(self):
        self.pod.run("over", ["sh", "-c", "exit 3"])
        with self.assertRaises(ShimError) as caught:
            self.pod.exec("over", ["true"])
        self.assertEqual((caught.exception.kind, caught.exception.message),
                         ("STATE", "the container has ended with exit code 3"))

    def test_execs_beside_the_end_of_their_container_are_told_of_its_end(self):
        """They were once told of ESRCH or EPIPE, in three wordings."""
        for mode in (pb.NS_NEW, pb.NS_POD):
            with Pod(pid=mode) as pod:
                refused = 0
                for i in range(60):
                    pod.up(f"c{i}", ["sleep", "1000"])
                    clients = []
                    null = os.open("/dev/null", os.O_RDWR)
                    for k in range(6):
                        if k == i % 6:
                            pod.kill(f"c{i}", all=True)
                        client = pod.connect()
                        call = pb.Exec(container_id=f"c{i}", exec_id=f"{i}-{k}",
                                       process=pod.process(["true"]).SerializeToString())
                        clients.append((client, client.send((null,) * 3, exec=call)))
                    os.close(null)
                    for client, stream in clients:
                        try:
                            client.wait(stream)
                        except ShimError as error:
                            self.assertEqual((error.kind, error.message),
                                             ("STATE", "the container has ended with exit code 137"))
                            refused += 1
                        client.close()
                    pod.client.wait_exit(f"c{i}")
                    pod.client.call(delete_container=pb.DeleteContainer(id=f"c{i}"))
                self.assertGreater(refused, 0)


if __name__ == "__main__":
    unittest.main()

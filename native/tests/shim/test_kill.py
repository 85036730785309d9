"""Ending everybody in a container's cgroup."""

import os
import shutil
import signal
import unittest

from harness import Pod, eventually, pb

CROWD = os.environ["BERTH_CROWD"]
MANY = 10_000


def calls(pid):
    """The reads and writes of a process so far, as its kernel counts them."""
    with open(f"/proc/{pid}/io") as file:
        fields = dict(line.split(": ") for line in file.read().splitlines())
    return int(fields["syscr"]) + int(fields["syscw"])


class Kill(unittest.TestCase):
    def pod(self, **values):
        pod = Pod(**values)
        shutil.copy(CROWD, f"{pod.layers}/base/bin/crowd")
        self.addCleanup(pod.close)
        return pod

    def group(self, pod, name, controller="freezer"):
        return f"/sys/fs/cgroup/{controller}/{pod.cgroups.name}/{name}"

    def members(self, pod, name, controller="freezer"):
        found = []
        for base, _, _ in os.walk(self.group(pod, name, controller)):
            try:
                with open(f"{base}/cgroup.procs") as file:
                    found += file.read().split()
            except OSError:
                pass  # a leaf that has gone
        return found

    def freezers(self, pod, name):
        states = set()
        for base, _, _ in os.walk(self.group(pod, name)):
            with open(f"{base}/freezer.state") as file:
                states.add(file.read().strip())
        return states

    def crowd(self, pod, name, args, **values):
        pod.up(name, ["crowd", *args], **values)
        self.assertTrue(eventually(lambda: "are here" in pod.output(name), 60), pod.records(name))

    def kill_beside_execs(self, pod, name):
        """Kills all of it; gives how many execs in another container were answered until nobody was left."""
        pod.kill(name, all=True)
        answered = 0
        while self.members(pod, name):
            self.assertEqual(pod.exec("other", ["true"])[0], 0)
            answered += 1
        return answered

    def test_ten_thousand_processes_end_beside_execs_that_are_answered(self):
        """Each was once looked up in the list of all of them, while nobody else was served; half were left frozen."""
        for mode in (pb.NS_POD, pb.NS_NEW):
            pod = self.pod(pid=mode)
            pod.up("other")
            self.crowd(pod, "crowd", [str(MANY)])
            before = calls(pod.pid)
            answered = self.kill_beside_execs(pod, "crowd")
            pod.client.wait_exit("crowd", 60)
            spent = calls(pod.pid) - before
            self.assertEqual(self.freezers(pod, "crowd"), {"THAWED"})
            # Lists of ten thousand are some fifteen reads; an exec costs a dozen of its own.
            self.assertLess(spent, MANY / 4 + 40 * answered)
            print(f"{MANY} processes: {spent} reads and writes, {answered} execs meanwhile")

    def test_an_exec_that_fills_its_container_is_ended_at_its_timeout(self):
        pod = self.pod(pid=pb.NS_POD)
        pod.up("other")
        pod.up("host")
        before = calls(pod.pid)
        client, _, out, err = pod.exec("host", ["crowd", str(MANY)], timeout_ms=8000, exec_id="full", wait=False)
        self.assertTrue(eventually(lambda: len(self.members(pod, "host")) > MANY, 60))
        self.assertTrue(client.wait_exec("full", 60).timed_out)
        self.assertTrue(eventually(lambda: len(self.members(pod, "host")) == 1, 60))
        self.assertEqual(self.freezers(pod, "host"), {"THAWED"})
        self.assertLess(calls(pod.pid) - before, MANY / 4)
        client.close(), os.close(out), os.close(err)

    def test_a_fork_bomb_ends(self):
        """Frozen it cannot outrun the list; without a freezer it is killed round by round."""
        for controller in ("freezer", "pids"):
            pod = self.pod(pid=pb.NS_POD)
            pod.cgroups.make("bomb")
            with open(f"{self.group(pod, 'bomb', 'pids')}/pids.max", "w") as file:
                file.write("600")
            self.crowd(pod, "bomb", ["10", "bomb"], request={"kill_dir": self.group(pod, "bomb", controller)})
            self.assertTrue(eventually(lambda: len(self.members(pod, "bomb")) > 500))
            pod.kill("bomb", all=True)
            self.assertEqual(pod.client.wait_exit("bomb", 60).exit_code, 137)
            self.assertTrue(eventually(lambda: not self.members(pod, "bomb"), 60))

    def test_without_a_freezer_everybody_is_killed(self):
        pod = self.pod(pid=pb.NS_POD)
        self.crowd(pod, "c", ["300"], request={"kill_dir": self.group(pod, "c", "pids")})
        pod.kill("c", all=True)
        pod.client.wait_exit("c")
        self.assertTrue(eventually(lambda: not self.members(pod, "c")))

    def test_what_a_container_froze_itself_is_thawed_and_killed(self):
        pod = self.pod(pid=pb.NS_POD)
        self.crowd(pod, "c", ["20"])
        inside = f"{self.group(pod, 'c')}/inside"
        os.mkdir(inside)
        for pid in self.members(pod, "c")[5:]:
            with open(f"{inside}/cgroup.procs", "w") as file:
                file.write(pid)
        with open(f"{inside}/freezer.state", "w") as file:
            file.write("FROZEN")
        pod.kill("c", all=True)
        self.assertTrue(eventually(lambda: not self.members(pod, "c"), 10))
        os.rmdir(inside)

    def test_groups_far_down_are_killed_as_well(self):
        pod = self.pod(pid=pb.NS_POD)
        self.crowd(pod, "c", ["3"])
        deep = self.group(pod, "c") + "/d" * 40
        os.makedirs(deep)
        with open(f"{deep}/cgroup.procs", "w") as file:
            file.write(self.members(pod, "c")[-1])
        pod.kill("c", all=True)
        self.assertTrue(eventually(lambda: not self.members(pod, "c"), 10))

    def test_a_signal_to_all_reaches_everybody_once(self):
        pod = self.pod(pid=pb.NS_POD)
        self.crowd(pod, "c", ["500"])
        pod.kill("c", signal.SIGTERM, all=True)
        self.assertTrue(eventually(lambda: not self.members(pod, "c"), 10))

    def test_a_pod_ends_in_the_middle_of_a_kill_and_nothing_is_left(self):
        pod = self.pod(pid=pb.NS_POD)
        self.crowd(pod, "c", [str(MANY // 5)])
        pod.kill("c", all=True)
        pod.close()  # checks processes and cgroups
        self.doCleanups = lambda: None


if __name__ == "__main__":
    unittest.main()

"""Nothing of the node's /dev can be changed from inside, and what stands in for it works."""

import os
import unittest

from harness import DEVICES, Pod, ShimError, libc, pb
from test_mounts import bind
from test_users import UserPod, users

CHANGE = "for f in {files}; do chmod 600 $f; chown 7:8 $f; touch -c $f; touch -c -d 2001-01-01 $f; done 2>/dev/null; true"
MASKED = "/proc/keys /proc/timer_list"
STREAMS = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"


class Inodes:
    """In a pod whose node has a /dev that may be damaged."""

    pod_class = Pod

    @classmethod
    def setUpClass(cls):
        cls.pod = cls.pod_class(own_dev=True)
        cls.pod.up("c")

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def setUp(self):
        for name, _, _ in DEVICES:  # as they were before another test has changed them
            path = f"/proc/{self.pod.pid}/root/dev/{name}"
            os.chown(path, 0, 0), os.chmod(path, 0o666), os.utime(path)

    def inodes(self):
        found = {}
        for name, _, _ in DEVICES:
            about = os.stat(f"/proc/{self.pod.pid}/root/dev/{name}")
            found[name] = (oct(about.st_mode), about.st_uid, about.st_gid, about.st_atime_ns, about.st_mtime_ns)
        return found

    def nodes_null(self):
        return os.open(f"/proc/{self.pod.pid}/root/dev/null", os.O_RDWR)

    def exec_with(self, fds, args, name="c"):
        """An exec with these streams, as berthd gives its /dev/null for those that nobody wants."""
        Pod.counter += 1
        client = self.pod.connect()
        message = pb.Exec(container_id=name, exec_id=f"n{Pod.counter}", process=self.pod.process(args).SerializeToString())
        client.call(fds, exec=message)
        code = client.wait_exec(message.exec_id).exit_code
        client.close()
        return code

    def test_masks_and_streams_of_a_container_are_not_the_nodes_null(self):
        before = self.inodes()
        script = CHANGE.format(files=f"{MASKED} /proc/self/fd/0")
        self.assertEqual(self.pod.run("changer", ["sh", "-c", script]).exit_code, 0)
        self.assertEqual(self.inodes(), before)

    def test_streams_of_an_exec_are_not_the_nodes_null(self):
        before = self.inodes()
        null = self.nodes_null()
        self.assertEqual(self.exec_with((null, null, null), ["sh", "-c", CHANGE.format(files=STREAMS)]), 0)
        os.close(null)
        self.assertEqual(self.inodes(), before)

    def test_devices_are_not_the_nodes_inodes(self):
        before = self.inodes()
        files = " ".join(f"/dev/{name}" for name, _, _ in DEVICES)
        self.assertEqual(self.pod.run("devices", ["sh", "-c", CHANGE.format(files=files)]).exit_code, 0)
        self.assertEqual(self.inodes(), before)

    def test_masks_cannot_be_changed_at_all(self):
        for path in MASKED.split():
            code, out, err, _ = self.pod.exec("c", ["chmod", "600", path])
            self.assertEqual((code, "Read-only file system" in err), (1, True), (path, out, err))
        self.assertEqual(self.pod.exec("c", ["cat"] + MASKED.split())[:3], (0, "", ""))

    def test_missing_streams_read_nothing_take_everything_and_are_the_roots_null(self):
        script = "test /proc/self/fd/0 -ef /dev/null && cat && echo x > /proc/self/fd/0 && cat && echo fine"
        self.pod.run("streams", ["sh", "-c", script])
        self.assertEqual(self.pod.output("streams"), "fine\n")
        null = self.nodes_null()
        same = "for i in 0 1 2; do test /proc/self/fd/$i -ef /dev/null || exit 1; done; cat; echo x"
        self.assertEqual(self.exec_with((null, null, null), ["sh", "-c", same]), 0)
        os.close(null)

    def test_what_only_calls_itself_null_is_not_taken(self):
        """A file and a FIFO in the place of /dev/null: the pod's own device is there instead."""
        os.makedirs(f"{self.pod.base}/tricks", exist_ok=True)
        os.chmod(f"{self.pod.base}/tricks", 0o755)
        open(f"{self.pod.base}/tricks/file", "w").close()
        os.mkfifo(f"{self.pod.base}/tricks/fifo")
        for kind in ("file", "fifo"):
            script = "stat -L -c %t:%T /proc/self/fd/0; chmod 600 /proc/self/fd/0 2>&1; readlink /proc/self/fd/0"
            self.pod.run(f"trick-{kind}", ["sh", "-c", script], devices=[],
                         mounts=[bind(f"{self.pod.base}/tricks/{kind}", "/dev/null")])
            self.assertRegex(self.pod.output(f"trick-{kind}"), r"^1:3\n.*Read-only file system\n/null\n$")

    def test_what_lies_in_the_place_of_null_is_not_even_opened(self):
        """Opening some devices does something."""
        place = f"{self.pod.base}/watched"
        open(place, "w").close()
        watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        libc.inotify_add_watch(watch, place.encode(), 0x20)  # IN_OPEN
        self.pod.run("watched", ["true"], devices=[], mounts=[bind(place, "/dev/null")])
        with self.assertRaises(BlockingIOError):
            os.read(watch, 4096)
        os.close(watch)

    def test_streams_of_an_exec_are_the_pods_null_where_the_container_has_none(self):
        place = f"{self.pod.base}/none"
        open(place, "w").close()
        before = self.inodes()
        null = self.nodes_null()
        self.pod.up("nonull", devices=[], mounts=[bind(place, "/dev/null")])
        code = self.exec_with((null, null, null), ["sh", "-c", CHANGE.format(files=STREAMS)], "nonull")
        os.close(null)
        self.assertEqual(code, 0)
        self.assertEqual(self.inodes(), before)
        self.pod.kill("nonull")


class OfTheNodesUsers(Inodes, unittest.TestCase):
    pass


class OfUsersOfItsOwn(Inodes, unittest.TestCase):
    pod_class = UserPod


class Unplugged(unittest.TestCase):
    """A device that was found on the node, and is gone or another when the container of a pod with its own users is made."""

    def test_one_that_nobody_asked_for_is_left_out(self):
        char = 0o020000
        found = [pb.Device(path="/dev/gone", type=char, major=1, minor=3, mode=0o666, by_default=True),
                 pb.Device(path="/dev/null/gone", type=char, major=1, minor=3, mode=0o666, by_default=True),
                 pb.Device(path="/dev/other", source="/dev/zero", type=char, major=1, minor=3, mode=0o666, by_default=True),
                 pb.Device(path="/dev/zero", type=char, major=1, minor=5, mode=0o666, by_default=True)]
        with UserPod(own_dev=True) as pod:
            exit = pod.run("c", ["sh", "-c", "ls /dev"], devices=found)
            self.assertEqual(exit.exit_code, 0)
            names = pod.output("c").split()
            self.assertIn("zero", names)
            self.assertEqual([name for name in ("gone", "other") if name in names], [])
            for device in found[:3]:
                device.by_default = False
                with self.assertRaises(ShimError) as caught:
                    pod.create("asked", ["true"], devices=[device])
                self.assertEqual(caught.exception.step, "device")


class Refused(unittest.TestCase):
    def test_a_node_that_lets_no_device_be_made_says_so(self):
        with Pod(start=False, without_caps=(27,)) as pod:  # CAP_MKNOD
            with self.assertRaises(ShimError) as caught:
                pod.start()
            self.assertEqual((caught.exception.step, caught.exception.errno), ("mknod", 1))
            self.assertIn("no device", caught.exception.message)
            pod.start(**users())  # users of their own are given the node's, whose inode is not theirs
            self.assertEqual(pod.started.pause_pid > 0, True)


if __name__ == "__main__":
    unittest.main()

"""What a container's root looks like, and what leads nowhere."""

import os
import resource
import struct
import subprocess
import sys
import threading
import time
import unittest

from harness import (MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_SHARED, Pod, ShimError,
                     alive, eventually, mount, pb, umount)


def bind(source, destination, **values):
    return pb.Mount(kind=pb.Mount.BIND, source=source, destination=destination, recursive=True, volume=True, **values)


class Mounts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.node = f"{cls.pod.base}/node"  # what the node offers as volumes
        os.makedirs(f"{cls.node}/dir/sub")
        with open(f"{cls.node}/file", "w") as file:
            file.write("from the node\n")
        cls.counter = 0

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def sh(self, script, **values):
        """Runs a script in a container of its own: its output; it must succeed."""
        Mounts.counter += 1
        name = f"m{Mounts.counter}"
        exit = self.pod.run(name, ["sh", "-c", script], **values)
        self.assertEqual(exit.exit_code, 0, self.pod.records(name))
        return self.pod.output(name)

    def refused(self, **values):
        Mounts.counter += 1
        with self.assertRaises(ShimError) as caught:
            self.pod.create(f"m{Mounts.counter}", ["true"], **values)
        return caught.exception

    def test_thousands_of_volumes_are_mounted_and_the_usual_descriptor_limit_is_back(self):
        """Each volume is a descriptor until its mount is made: 1024 of them were once all that a container had."""
        # Beyond what the shim has for itself, too, where the hard limit leaves room for it.
        count = 9000 if resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 10000 else 3000
        volumes = [bind(f"{self.node}/dir", f"/v/{i}") for i in range(count)]
        out = self.sh(f"ls -d /v/{count - 1}/sub; grep -c ' /v/' /proc/self/mounts; ulimit -Sn", mounts=volumes,
                      process={"rlimits": []}, request={"setup_timeout_ms": 60000}, timeout=60)
        self.assertEqual(out.split(), [f"/v/{count - 1}/sub", str(count), "1024"])

    # --- the root

    def test_layers_are_stacked_top_first_and_writes_go_to_upper(self):
        for layer, text in (("one", "low"), ("two", "high")):
            os.makedirs(f"{self.pod.layers}/{layer}/opt")
            with open(f"{self.pod.layers}/{layer}/opt/which", "w") as file:
                file.write(text)
        out = self.sh("cat /opt/which; echo new > /opt/written", rootfs={"lowers": ["two", "one", "base"]})
        self.assertEqual(out, "high")
        name = f"m{Mounts.counter}"
        with open(f"{self.pod.base}/containers/{name}/upper/opt/written") as file:
            self.assertEqual(file.read(), "new\n")
        self.assertEqual(os.listdir(f"{self.pod.layers}/two/opt"), ["which"])

    def test_a_hundred_layers(self):
        for i in range(100):
            os.makedirs(f"{self.pod.layers}/l{i}/opt", exist_ok=True)
        self.sh("true", rootfs={"lowers": [f"l{i}" for i in range(100)] + ["base"]})

    def test_a_directory_as_root(self):
        self.sh("test -e /etc/passwd && touch /tmp/here && rm /tmp/here",
                rootfs={"bind": f"{self.pod.layers}/base", "lowers": [], "layers_dir": "", "upper": "", "work": ""})

    def test_layer_names_cannot_add_options_or_climb(self):
        for lower in ("base,upperdir=/etc", "base:/etc", "../base", "/etc", ".", "", "a\\b"):
            self.assertEqual(self.refused(rootfs={"lowers": [lower]}).kind, "BAD_MESSAGE", lower)
        error = self.refused(rootfs={"lowers": ["missing"]})
        self.assertEqual((error.kind, error.step, error.errno), ("KERNEL", "overlay", 2))

    def test_readonly_root_and_image_volumes(self):
        out = self.sh("touch /x 2>&1; touch /etc/x 2>&1; touch /data/deep/x && touch /dev/shm/x && touch /run/x; "
                      "touch /proc/sys/x 2>/dev/null; grep ' / / ' /proc/self/mountinfo | cut -d' ' -f6",
                      rootfs={"readonly": True, "volumes": ["/data/deep", "/run"]})
        self.assertEqual(out.count("Read-only file system"), 2)
        self.assertIn("ro,", out)

    def test_an_image_volume_stays_inside(self):
        """CVE-2022-23648: VOLUME /../../etc and symlinks mean the container's own directories."""
        self.sh("ls -d /var/climber/vol && ls -d /etc/vol", rootfs={"volumes": ["/var/climber/vol"]})
        self.assertFalse(os.path.exists("/etc/vol"))
        self.sh("ls -d /etc/vol2 && ! ls -d /nowhere", rootfs={"volumes": ["/nowhere/../../etc/vol2"]})
        self.assertFalse(os.path.exists("/etc/vol2"))

    # --- binds

    def test_directories_and_files(self):
        out = self.sh("cat /mnt/file; ls -d /mnt/new/dir/sub; echo back > /mnt/new/dir/back",
                      mounts=[bind(f"{self.node}/file", "/mnt/file"), bind(f"{self.node}/dir", "/mnt/new/dir")])
        self.assertEqual(out, "from the node\n/mnt/new/dir/sub\n")
        self.assertTrue(os.path.exists(f"{self.node}/dir/back"))

    def test_flags(self):
        out = self.sh("touch /ro/x 2>&1; grep -E ' /(ro|odd) ' /proc/self/mountinfo | cut -d' ' -f5,6",
                      mounts=[bind(f"{self.node}/dir", "/ro", flags=MS_BIND | MS_RDONLY),
                              bind(f"{self.node}/dir", "/odd", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)])
        self.assertIn("Read-only file system", out)
        self.assertRegex(out, r"/ro ro,")
        self.assertRegex(out, r"/odd rw,nosuid,nodev,noexec")

    def test_readonly_reaches_down_only_when_asked(self):
        inner = f"{self.node}/dir/sub"
        mount("tmpfs", inner, "tmpfs")
        try:
            self.sh("touch /v/sub/yes && ! touch /v/no", mounts=[bind(f"{self.node}/dir", "/v", flags=MS_RDONLY)])
            self.sh("! touch /v/sub/no && ! touch /v/no",
                    mounts=[bind(f"{self.node}/dir", "/v", flags=MS_RDONLY, recursive_readonly=True)])
        finally:
            umount(inner)

    def test_a_missing_source(self):
        error = self.refused(mounts=[bind(f"{self.node}/absent", "/v")])
        self.assertEqual((error.kind, error.step, error.path, error.errno),
                         ("KERNEL", "open_tree", f"{self.node}/absent", 2))
        self.sh("test -d /v", mounts=[bind(f"{self.node}/made/deep", "/v", create_source=True)])
        self.assertTrue(os.path.isdir(f"{self.node}/made/deep"))

    def test_destinations_are_resolved_inside_the_root(self):
        volume = bind(f"{self.node}/file", "/var/climber/target")  # /var/climber -> ../../../../../../etc
        self.assertEqual(self.sh("cat /etc/target", mounts=[volume]), "from the node\n")
        self.assertFalse(os.path.exists("/etc/target"))
        absolute = bind(f"{self.node}/file", "/var/run/secrets/x")  # /var/run -> /run
        self.assertEqual(self.sh("cat /run/secrets/x", mounts=[absolute]), "from the node\n")
        dangling = bind(f"{self.node}/file", "/var/dangling/x")  # -> /nowhere/below, which is made
        self.assertEqual(self.sh("cat /nowhere/below/x", mounts=[dangling]), "from the node\n")

    def test_nothing_is_mounted_over_proc(self):
        os.makedirs(f"{self.pod.layers}/links/opt", exist_ok=True)
        for name, target in (("p", "/proc"), ("pself", "/proc/self"), ("psys", "/proc/sys/kernel")):
            if not os.path.lexists(f"{self.pod.layers}/links/opt/{name}"):
                os.symlink(target, f"{self.pod.layers}/links/opt/{name}")
        root = {"lowers": ["links", "base"]}
        for destination in ("/proc", "/proc/self/attr", "/proc/sys", "/opt/p", "/opt/p/sys", "/opt/pself/attr", "/opt/psys",
                            "/proc/1", "//proc", "/./proc", "/tmp/../proc"):
            error = self.refused(mounts=[bind(f"{self.node}/dir", destination)], rootfs=root)
            self.assertIn(error.kind, ("REQUEST", "KERNEL"), destination)
        self.sh("grep -q 'from the node' /proc/cpuinfo", mounts=[bind(f"{self.node}/file", "/proc/cpuinfo")])

    def test_proc_is_not_mounted_through_a_symlink(self):
        os.makedirs(f"{self.pod.layers}/fakeproc/elsewhere", exist_ok=True)
        if not os.path.lexists(f"{self.pod.layers}/fakeproc/proc"):
            os.symlink("elsewhere", f"{self.pod.layers}/fakeproc/proc")
        error = self.refused(rootfs={"lowers": ["fakeproc", "base"]})
        self.assertEqual((error.step, error.path, error.errno), ("mount", "/proc", 40))

    def test_an_image_cannot_choose_its_dev(self):
        """A /dev that is a symlink is resolved inside the root; /dev/null is ours by number."""
        os.makedirs(f"{self.pod.layers}/fakedev/elsewhere", exist_ok=True)
        if not os.path.lexists(f"{self.pod.layers}/fakedev/dev"):
            os.symlink("/elsewhere", f"{self.pod.layers}/fakedev/dev")
        self.assertEqual(self.sh("stat -c %t:%T /dev/null /elsewhere/null", rootfs={"lowers": ["fakedev", "base"]}),
                         "1:3\n1:3\n")

    def test_a_racing_symlink_cannot_redirect_a_mount(self):
        """CVE-2021-30465: a shared volume whose directory turns into a symlink and back while others mount below it."""
        shared = f"{self.node}/shared"
        os.makedirs(f"{shared}/d/x")
        script = ("while :; do mv /s/d /s/real 2>/dev/null; ln -s /../../../../.. /s/d; rm /s/d; "
                  "mv /s/real /s/d 2>/dev/null; done")
        self.pod.up("racer", ["sh", "-c", script], mounts=[bind(shared, "/s")])
        made = 0
        for i in range(60):
            name = f"raced{i}"
            try:
                pid = self.pod.create(name, ["true"], mounts=[bind(shared, "/s"), bind(f"{self.node}/dir", "/s/d/x")]).pid
            except ShimError as error:
                self.assertIn(error.kind, ("KERNEL", "REQUEST"), error)
                continue
            made += 1
            with open(f"/proc/{pid}/mountinfo") as file:  # what lies outside the root has gone with the old one
                self.assertEqual(len([line for line in file if line.split()[3].endswith("/node/dir")]), 1, name)
            self.pod.client.call(delete_container=pb.DeleteContainer(id=name))
        self.assertGreater(made, 0)
        self.pod.kill("racer")

    # --- masks, views, devices

    def test_masked_and_readonly_paths(self):
        out = self.sh("cat /proc/keys /proc/timer_list; ls -A /sys/firmware /proc/acpi; touch /sys/firmware/x 2>&1; "
                      "echo 1 2>&1 > /proc/sys/kernel/panic; for p in /proc/bus /proc/sys /proc/irq; do "
                      "grep \" $p \" /proc/self/mountinfo | cut -d' ' -f6 | cut -c1-2; done; true",)
        self.assertEqual(out.split("\n")[-4:-1], ["ro"] * 3)
        self.assertIn("Read-only", out)
        self.assertNotRegex(out, "perm|jiffies")

    def test_masks_of_what_is_not_there_are_skipped(self):
        self.sh("true", masked=["/no/such", "/etc/passwd/below", "/proc/none"], readonly=["/none", "/etc/passwd/below"])
        self.assertEqual(self.sh("cat /etc/passwd; ls -A /etc/hidden",
                                 masked=["/etc/passwd", "/etc/hidden"], rootfs={"volumes": ["/etc/hidden"]}), "")

    def test_cgroup_view(self):
        out = self.sh("cat /proc/self/cgroup; ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/cgroup.procs; "
                      "! mkdir /sys/fs/cgroup/memory/x; ! touch /sys/fs/cgroup/x")
        self.assertIn("memory:/\n", out)
        self.assertIn("\n1\n", out)  # itself, and nobody else's
        self.assertIn("systemd", out)

    def test_devices(self):
        devices = [pb.Device(path="/dev/fuse", type=0o020000, major=10, minor=229, mode=0o660, uid=5, gid=6),
                   pb.Device(path="/dev/deep/loop9", type=0o060000, major=7, minor=9, mode=0o600)]
        out = self.sh("stat -c '%F %t:%T %a %u %g' /dev/fuse /dev/deep/loop9 /dev/null; "
                      "for l in fd ptmx stdin; do readlink /dev/$l; done",
                      devices=devices + [pb.Device(path="/dev/null", type=0o020000, major=1, minor=3, mode=0o666)])
        self.assertEqual(out, "character special file a:e5 660 5 6\nblock special file 7:9 600 0 0\n"
                              "character special file 1:3 666 0 0\n/proc/self/fd\npts/ptmx\n/proc/self/fd/0\n")
        for path in ("/dev/", "/", "/dev/..", "dev/x"):
            self.assertEqual(self.refused(devices=[pb.Device(path=path, type=0o020000, major=1, minor=3)]).step, "device")

    def test_nothing_of_the_node_stays_in_sight(self):
        out = self.sh("cat /proc/self/mountinfo; ls /; ls /proc/self/fd")
        for line in out.splitlines():
            self.assertNotIn(self.pod.base, line)
        self.assertNotIn("/store\n", out)
        self.assertNotIn("/layers\n", out)

    def test_a_working_directory_of_the_nodes_is_refused(self):
        """CVE-2024-21626: no descriptor of the node's can be walked out of."""
        for fd in range(0, 24):
            for path in (f"/proc/self/fd/{fd}", f"/proc/self/fd/{fd}/..", f"/proc/1/fd/{fd}"):
                error = self.refused(process={"cwd": path})
                self.assertEqual((error.kind, error.step), ("START", "chdir"), path)

    def test_nothing_of_a_created_container_is_in_the_nodes_mounts(self):
        with open("/proc/self/mountinfo") as file:
            before = file.read()
        self.pod.create("sight", ["true"], mounts=[bind(f"{self.node}/dir", "/v")])
        with open("/proc/self/mountinfo") as file:
            self.assertEqual(file.read(), before)


class Propagation(unittest.TestCase):
    """The node's volume directory is shared, as systemd makes everything."""

    def setUp(self):
        self.pod = Pod()
        self.volume = f"{self.pod.base}/volume"
        os.makedirs(f"{self.volume}/in")
        mount("tmpfs", self.volume, "tmpfs")
        mount(None, self.volume, None, MS_SHARED)
        os.makedirs(f"{self.volume}/node")
        os.makedirs(f"{self.volume}/container")

    def tearDown(self):
        try:
            for path in (f"{self.volume}/node", f"{self.volume}/container"):
                try:
                    umount(path)
                except OSError:
                    pass
            umount(self.volume)
        finally:
            self.pod.close()

    def run_with(self, propagation):
        admin = (1 << 41) - 1
        caps = {"cap_permitted": admin, "cap_effective": admin, "cap_bounding": admin}
        self.pod.up("p", mounts=[bind(self.volume, "/v", propagation=propagation)], process=caps)
        mount("tmpfs", f"{self.volume}/node", "tmpfs")
        open(f"{self.volume}/node/mark", "w").close()
        seen_inside = self.pod.exec("p", ["test", "-e", "/v/node/mark"])[0] == 0
        code, _, err, _ = self.pod.exec("p", ["mount", "-t", "tmpfs", "none", "/v/container"], **caps)
        self.assertEqual(code, 0, err)
        with open("/proc/self/mountinfo") as file:
            seen_outside = f"{self.volume}/container" in file.read()
        return seen_inside, seen_outside

    def test_private(self):
        self.assertEqual(self.run_with(pb.PRIVATE), (False, False))

    def test_host_to_container(self):
        self.assertEqual(self.run_with(pb.SLAVE), (True, False))

    def test_bidirectional(self):
        self.assertEqual(self.run_with(pb.SHARED), (True, True))

    def test_the_node_can_unmount_while_a_container_lives(self):
        self.pod.up("a", mounts=[bind(self.volume, "/v", propagation=pb.SLAVE)])
        self.pod.create("b", ["true"], mounts=[bind(self.volume, "/v")])
        mount("tmpfs", f"{self.volume}/node", "tmpfs")
        umount(f"{self.volume}/node")
        os.rmdir(f"{self.volume}/node")
        self.assertEqual(self.pod.exec("a", ["test", "-e", "/v/node"])[0], 1)


class DeadServer:
    """A FUSE file system that answers its first question and nothing after."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        mount("dead", path, "fuse", 0, f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other")
        request = os.read(self.fd, 65536)
        _, opcode, unique = struct.unpack_from("IIQ", request)
        assert opcode == 26  # FUSE_INIT
        body = struct.pack("IIIIHHIIHHIIII", 7, 31, 0, 0, 16, 12, 65536, 1, 0, 0, 0, 0, 0, 0) + b"\0" * 16
        body = body[:64].ljust(64, b"\0")
        os.write(self.fd, struct.pack("IiQ", 16 + len(body), 0, unique) + body)

    def close(self):
        os.close(self.fd)
        umount(self.path)


@unittest.skipUnless(os.path.exists("/dev/fuse"), "no FUSE on this machine")
class Unresponsive(unittest.TestCase):
    def test_a_volume_that_never_answers_costs_only_its_container(self):
        with Pod() as pod:
            dead = DeadServer(f"{pod.base}/dead")
            try:
                for name, source in (("below", f"{dead.path}/volume"), ("root", dead.path)):
                    start = time.time()
                    with self.assertRaises(ShimError) as caught:
                        pod.create(name, ["true"], mounts=[bind(source, "/v", create_source=True)],
                                   request={"setup_timeout_ms": 400})
                    self.assertLess(time.time() - start, 1.5)
                    self.assertEqual((caught.exception.kind, caught.exception.path), ("UNRESPONSIVE", source))
                self.assertEqual(pod.run("other", ["true"]).exit_code, 0)
                self.assertEqual([c.id for c in pod.state().containers], ["other"])
            finally:
                dead.close()

    def test_others_are_served_while_it_hangs(self):
        with Pod() as pod:
            dead = DeadServer(f"{pod.base}/dead")
            try:
                plan = pod.plan("slow", ["true"], mounts=[bind(f"{dead.path}/x", "/v")]).SerializeToString()
                stream = pod.client.send(create_container=pb.CreateContainer(id="slow", plan=plan, pid=pb.NS_NEW,
                                                                             setup_timeout_ms=1500))
                other = pod.connect()
                start = time.time()
                pod.create("quick", ["true"], client=other)
                pod.state(other)
                self.assertLess(time.time() - start, 1)
                with self.assertRaises(ShimError) as caught:
                    pod.client.wait(stream)
                self.assertEqual(caught.exception.kind, "UNRESPONSIVE")
            finally:
                dead.close()


if __name__ == "__main__":
    unittest.main()

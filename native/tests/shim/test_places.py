"""Where a mount comes to lie: through the links of an image, wherever they lead, and on what may be covered of /proc."""

import os
import unittest

from harness import MS_RDONLY, Pod, ShimError, pb
from test_mounts import bind
from test_users import UserPod

FILE_TEXT = "from the node\n"


class Places:
    pod_class = Pod

    @classmethod
    def setUpClass(cls):
        cls.pod = cls.pod_class()
        cls.node = f"{cls.pod.base}/node"
        os.makedirs(f"{cls.node}/dir/sub")
        with open(f"{cls.node}/file", "w") as file:
            file.write(FILE_TEXT)
        os.chmod(f"{cls.node}/file", 0o666)
        cls.counter = 0

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def image(self, **links):
        """A layer of links: by names with _ for /."""
        type(self).counter += 1
        layer = f"links{self.counter}"
        for name, target in links.items():
            path = f"{self.pod.layers}/{layer}/{name.replace('_', '/')}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)
        return {"lowers": [layer, "base"]}

    def sh(self, script, **values):
        type(self).counter += 1
        name = f"p{self.counter}"
        exit = self.pod.run(name, ["sh", "-c", script], **values)
        self.assertEqual(exit.exit_code, 0, self.pod.records(name))
        return self.pod.output(name)

    def refused(self, **values):
        type(self).counter += 1
        with self.assertRaises(ShimError) as caught:
            self.pod.create(f"p{self.counter}", ["true"], **values)
        return caught.exception

    def file_at(self, destination, **values):
        return bind(f"{self.node}/file", destination, **values)


class Links(Places, unittest.TestCase):
    # --- links that lead to what is not there

    def test_a_mount_on_a_dangling_link_with_dots_was_once_refused(self):
        """/etc/resolv.conf of an image with systemd-resolved: runtimes make what it leads to, inside the root."""
        root = self.image(etc_resolv="../run/systemd/resolve/stub")
        out = self.sh("cat /run/systemd/resolve/stub /etc/resolv; readlink /etc/resolv", rootfs=root,
                      mounts=[self.file_at("/etc/resolv")])
        self.assertEqual(out, FILE_TEXT * 2 + "../run/systemd/resolve/stub\n")
        self.assertFalse(os.path.exists("/run/systemd/resolve/stub"))

    def test_whatever_a_dangling_link_says_it_means_inside_the_root(self):
        for target, place in (("/none/x", "/none/x"), ("none/x", "/etc/none/x"), ("../../../../none/x", "/none/x"),
                              ("/none/../x1", "/x1"), ("none/../../none/./x", "/none/x"), ("//none//x", "/none/x"),
                              ("/../../x2", "/x2"), ("none/a/b/../../../x3", "/etc/x3"), ("/var/run/x4", "/run/x4")):
            with self.subTest(target):
                out = self.sh(f"cat {place}", rootfs=self.image(etc_link=target), mounts=[self.file_at("/etc/link")])
                self.assertEqual(out, FILE_TEXT)
        self.assertFalse(os.path.exists("/none"))

    def test_links_to_links_and_dots_behind_them(self):
        chain = {"etc_l0": "/none/deep/file"}
        for i in range(1, 30):
            chain[f"etc_l{i}"] = f"../etc/l{i - 1}"
        root = self.image(**chain, etc_dir="/none/deeper", etc_up="dir/../beside")
        out = self.sh("cat /none/deep/file /none/deeper/x /none/deeper2 /none/beside", rootfs=root, mounts=[
            self.file_at("/etc/l29"), self.file_at("/etc/dir/../deeper2"), self.file_at("/etc/dir/x"),
            self.file_at("/etc/up")])
        self.assertEqual(out, FILE_TEXT * 4)

    def test_a_directory_is_made_where_one_is_mounted(self):
        root = self.image(srv_data="../mnt/./data/v1", opt="usr/opt")
        out = self.sh("ls /mnt/data/v1 /usr/opt/x", rootfs=root,
                      mounts=[bind(f"{self.node}/dir", "/srv/data"), bind(f"{self.node}/dir", "/opt/x")])
        self.assertEqual(out.split(), ["/mnt/data/v1:", "sub", "/usr/opt/x:", "sub"])

    def test_links_in_a_circle(self):
        root = self.image(etc_a="b", etc_b="../etc/a", etc_self="self")
        for destination in ("/etc/a", "/etc/self", "/etc/a/below"):
            error = self.refused(mounts=[self.file_at(destination)], rootfs=root)
            self.assertEqual((error.kind, error.path, error.errno), ("KERNEL", destination, 40))

    def test_more_links_than_anybody_follows(self):
        links = {f"etc_l{i}": f"l{i - 1}/x" for i in range(1, 42)}
        error = self.refused(mounts=[self.file_at("/etc/l41")], rootfs=self.image(**links, etc_l0="/none"))
        self.assertEqual((error.kind, error.errno), ("KERNEL", 40))
        deep = "/d" * 300
        error = self.refused(mounts=[self.file_at(deep)])
        self.assertEqual((error.kind, error.step), ("LIMIT", "mkdir"))
        self.sh(f"cat {deep[:400]}", mounts=[self.file_at(deep[:400])])

    def test_a_link_through_a_file(self):
        error = self.refused(mounts=[self.file_at("/etc/link")], rootfs=self.image(etc_link="passwd/x"))
        self.assertEqual((error.kind, error.path, error.errno), ("KERNEL", "/etc/link", 20))

    def test_a_link_into_a_volume(self):
        root = self.image(etc_link="../v/made", etc_fixed="/w/made")
        os.makedirs(f"{self.node}/volume", exist_ok=True)
        volume = bind(f"{self.node}/volume", "/v")
        self.assertEqual(self.sh("cat /v/made", rootfs=root, mounts=[volume, self.file_at("/etc/link")]), FILE_TEXT)
        self.assertTrue(os.path.exists(f"{self.node}/volume/made"))
        readonly = bind(f"{self.node}/dir", "/w", flags=MS_RDONLY)
        error = self.refused(rootfs=root, mounts=[readonly, self.file_at("/etc/fixed")])
        self.assertEqual((error.kind, error.errno), ("KERNEL", 30))
        # Nobody asked for this one: nothing of it stays on the node.
        os.unlink(f"{self.node}/volume/made")
        self.sh("! test -e /v/made", rootfs=root, mounts=[volume, self.file_at("/etc/link", if_there=True)])
        self.assertEqual(os.listdir(f"{self.node}/volume"), [])

    def test_a_link_of_a_volume_back_into_the_root(self):
        """Also what nobody asked for: the place is the container's own."""
        os.makedirs(f"{self.node}/etc", exist_ok=True)
        if not os.path.lexists(f"{self.node}/etc/link"):
            os.symlink("/run/made", f"{self.node}/etc/link")
        mounts = [bind(f"{self.node}/etc", "/v"), self.file_at("/v/link", if_there=True)]
        self.assertEqual(self.sh("cat /run/made", mounts=mounts), FILE_TEXT)

    def test_a_file_on_a_directory_and_the_other_way_round(self):
        root = self.image(etc_todir="../run", etc_tofile="passwd")
        for source, destination in (("file", "/etc/todir"), ("dir", "/etc/tofile")):
            error = self.refused(mounts=[bind(f"{self.node}/{source}", destination)], rootfs=root)
            self.assertEqual((error.kind, error.path), ("REQUEST", destination))

    def test_a_readonly_root(self):
        root = {**self.image(etc_link="../run/x/y"), "readonly": True}
        self.assertEqual(self.sh("cat /run/x/y; ! touch /run/x/z", rootfs=root, mounts=[self.file_at("/etc/link")]),
                         FILE_TEXT)

    def test_a_working_directory_and_a_volume_of_the_image_that_lead_nowhere(self):
        root = {**self.image(work="srv/../home/app", data="var/../srv/data"), "volumes": ["/data"]}
        out = self.sh("pwd; ls -d /srv/data", rootfs=root, process={"cwd": "/work", "create_cwd": True})
        self.assertEqual(out, "/home/app\n/srv/data\n")

    # --- what may be covered of /proc

    def test_what_emulates_proc_for_a_container_lies_on_its_files(self):
        names = ["cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime"]
        names += [name for name in ("slabinfo", "sys/crypto/fips_enabled", "sys/kernel/ns_last_pid")
                  if os.path.exists(f"/proc/{name}")]
        mounts = [self.file_at(f"/proc/{name}") for name in names]
        out = self.sh(f"cd /proc && cat {' '.join(names)}", mounts=mounts)
        self.assertEqual(out, FILE_TEXT * len(names))
        root = self.image(opt_stat="../proc/stat")
        self.assertEqual(self.sh("cat /proc/stat", rootfs=root, mounts=[self.file_at("/opt/stat")]), FILE_TEXT)

    def test_a_setting_that_was_asked_for_is_written_below_a_readonly_proc_sys(self):
        """A program that restores others writes the node's ns_last_pid so."""
        place = "/proc/sys/kernel/ns_last_pid"
        if not os.path.exists(place):
            self.skipTest("this kernel has no ns_last_pid")
        with open(f"{self.node}/last", "w"):
            pass
        script = f"echo more >> {place} && ! echo 1 2>/dev/null > /proc/sys/kernel/panic"
        self.sh(script, mounts=[bind(f"{self.node}/last", place)])
        self.sh(f"! echo more 2>/dev/null >> {place}", mounts=[bind(f"{self.node}/last", place, flags=MS_RDONLY)])

    def test_the_nodes_proc_in_place_of_the_containers(self):
        out = self.sh(f"ls -d /proc/{os.getpid()} && cat /proc/keys && touch /proc/sys/x 2>&1; readlink /proc/self/exe",
                      proc=bind("/proc", "/proc"))
        self.assertIn(f"/proc/{os.getpid()}\n", out)
        self.assertIn("/bin/busybox", out)
        for source in (f"{self.node}/dir", "/sys", "/proc/sys/kernel/hostname", "/proc/sys", "/proc/self"):
            error = self.refused(proc=bind(source, "/proc"))
            self.assertEqual((error.kind, error.path), ("REQUEST", "/proc"), source)
        error = self.refused(proc=bind("/proc", "/proc"), rootfs=self.image(proc="elsewhere"))
        self.assertIn("not of type proc", error.message)

    def test_what_else_may_not_be_covered(self):
        root = self.image(opt_version="../proc/version", opt_one="../proc/1", opt_root="../..")
        for source, destination in (("file", "/proc/version"), ("file", "/proc/self/environ"), ("dir", "/proc/sys"),
                                    ("file", "/proc/sys/kernel/core_pattern"), ("file", "/opt/version"), ("dir", "/opt/one"),
                                    ("dir", "/opt/root"), ("dir", "/"), ("file", "/proc/sys/kernel")):
            error = self.refused(mounts=[bind(f"{self.node}/{source}", destination)], rootfs=root)
            self.assertEqual(error.kind, "REQUEST", (destination, error))


class LinksOfOtherUsers(Places, unittest.TestCase):
    pod_class = UserPod

    def test_a_dangling_link_in_a_pod_with_users_of_its_own(self):
        root = self.image(etc_resolv="../run/systemd/resolve/stub")
        out = self.sh("cat /run/systemd/resolve/stub; stat -c %u /run/systemd", rootfs=root, user=pb.NS_POD,
                      mounts=[self.file_at("/etc/resolv")])
        self.assertEqual(out, FILE_TEXT + "0\n")


if __name__ == "__main__":
    unittest.main()

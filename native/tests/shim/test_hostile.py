"""Peers that do not keep to the rules, and containers that look around."""

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

from harness import Pod, ShimError, alive, eventually, pb
from reports import SANITIZED


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pod = Pod()
        cls.pod.up("c")

    @classmethod
    def tearDownClass(cls):
        cls.pod.close()

    def fds(self):
        return len(os.listdir(f"/proc/{self.pod.pid}/fd"))

    def raw(self, data, fds=()):
        """Sends bytes on a connection of their own: what comes back before it is closed, or b'' """
        client = self.pod.connect()
        client.socket.settimeout(1)
        try:
            if fds:
                socket.send_fds(client.socket, [data], fds)
            else:
                client.socket.sendall(data)
            return client.socket.recv(65536)
        except (ConnectionError, socket.timeout) as error:
            return error
        finally:
            client.close()

    def test_header_garbage_closes_the_connection(self):
        for header in (b"GET / HTTP/1.1\r\n", struct.pack(">IIBB", 17 << 20, 1, 1, 0), struct.pack(">IIBB", 0, 2, 1, 0),
                       struct.pack(">IIBB", 0, 1, 2, 0), struct.pack(">IIBB", 0, 1, 1, 7), b"\xff" * 10):
            self.assertIn(type(self.raw(header)), (bytes, ConnectionResetError), header)
            self.assertEqual(self.raw(header) if isinstance(self.raw(header), bytes) else b"", b"")
        self.pod.state()

    def test_a_malformed_message_is_answered(self):
        for payload in (b"", b"\xff", b"\x08\x01", b"\x12\xff\xff\xff\xff\x0f", b"\x1a\x03\x12\x7fa", b"\xa2\x06\x00"):
            answer = self.raw(struct.pack(">IIBB", len(payload), 1, 1, 0) + payload)
            self.assertIsInstance(answer, bytes, payload)
            response = pb.Response.FromString(answer[10:])
            self.assertIn(response.error.kind, (pb.Error.BAD_MESSAGE, pb.Error.UNSUPPORTED), payload)

    def test_a_request_in_single_bytes(self):
        client = self.pod.connect()
        payload = pb.Request(get_state=pb.GetState()).SerializeToString()
        for byte in struct.pack(">IIBB", len(payload), 1, 1, 0) + payload:
            client.socket.send(bytes([byte]))
        client.stream = 1
        self.assertEqual(client.wait(1).pod_id, self.pod.id)
        client.close()

    def test_the_largest_request_is_given_back(self):
        big = self.pod.plan("big", ["true"], process={"env": [b"X=" + b"y" * 100_000] * 150}).SerializeToString()
        self.assertGreater(len(big), 15_000_000)
        with open(f"/proc/{self.pod.pid}/status") as file:
            before = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        self.pod.create("big", [], plan=big)
        with open(f"/proc/{self.pod.pid}/status") as file:
            after = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        if not SANITIZED:  # measures memory, and the sanitizers' own would be measured
            self.assertLess(after - before, 256)
        with self.assertRaises(ShimError) as caught:
            self.pod.begin("big")  # 15 MB of environment is more than the kernel takes
        self.assertEqual((caught.exception.kind, caught.exception.errno), ("START", 7))
        with self.assertRaises((EOFError, ConnectionError)):
            client = self.pod.connect()
            client.send(create_container=pb.CreateContainer(id="x", plan=b"\0" * (17 << 20)))
            client.read_frame()

    def test_random_bytes_and_cut_connections(self):
        before = self.fds()
        rng = random.Random(3)
        valid = pb.Request(create_container=pb.CreateContainer(id="fuzz", plan=self.pod.plan("fuzz", ["true"]).SerializeToString(),
                                                               pid=pb.NS_NEW, setup_timeout_ms=500)).SerializeToString()
        for i in range(150):
            client = self.pod.connect()
            if i % 3 == 0:
                data = rng.randbytes(rng.randrange(1, 200))
            else:
                payload = bytearray(valid)
                for _ in range(rng.randrange(1, 20)):
                    payload[rng.randrange(len(payload))] = rng.randrange(256)
                data = struct.pack(">IIBB", len(payload), 1, 1, 0) + bytes(payload)
                if i % 3 == 1:
                    data = data[:rng.randrange(len(data))]
            try:
                client.socket.sendall(data)
            except ConnectionError:
                pass
            client.close()
        for container in self.pod.state().containers:
            if container.id != "c" and container.state == pb.CREATED:
                self.pod.client.call(delete_container=pb.DeleteContainer(id=container.id))
        self.assertTrue(eventually(lambda: self.fds() <= before + 2), (before, self.fds()))
        self.assertEqual(self.pod.exec("c", ["true"])[0], 0)

    def test_whatever_comes_as_a_stream_costs_nobody_anything(self):
        """Directories, files, event descriptors, ends of the wrong kind, both ends of one pipe."""
        self.pod.up("odd", ["sh", "-c", "while read x; do echo $x; done; sleep 1000"], request={"stdin": True})
        self.pod.up("oddtty", ["cat"], tty=True, request={"stdin": True})
        before = self.fds()
        read_end, write_end = os.pipe()
        left, right = socket.socketpair()
        kinds = [os.open("/", os.O_RDONLY), os.open("/dev/zero", os.O_RDWR), os.eventfd(1), os.memfd_create("x"),
                 read_end, write_end, left.fileno(), right.fileno(), os.open("/proc/self/ns/net", os.O_RDONLY)]
        rng = random.Random(5)
        for i in range(120):
            fds = [rng.choice(kinds) for _ in range(3)]
            call = rng.choice((dict(attach=pb.Attach(container_id=rng.choice(("odd", "oddtty")))),
                               dict(exec=pb.Exec(container_id="odd", exec_id=f"odd{i}", tty=True,
                                                 process=self.pod.process(["true"], tty=True).SerializeToString()))))
            client = self.pod.connect()
            try:
                client.call(fds, **call)
            except ShimError:
                pass
            client.close()
        for fd in kinds[:6] + kinds[8:]:
            os.close(fd)
        left.close(), right.close()
        self.assertTrue(eventually(lambda: self.fds() <= before), (before, self.fds()))
        self.assertEqual(self.pod.exec("odd", ["true"])[0], 0)

    def test_malformed_conversations(self):
        long = b"x" * 128
        for tag in (13, 14):
            for body in (b"\x0a\x80\x01" + long, b"\xff", b"\x0a\x05ab", b"\x08\x01"):
                payload = bytes([tag << 3 | 2, len(body)]) + body if len(body) < 128 else \
                    bytes([tag << 3 | 2, len(body) & 0x7f | 0x80, len(body) >> 7]) + body
                answer = self.raw(struct.pack(">IIBB", len(payload), 1, 1, 0) + payload)
                self.assertEqual(pb.Response.FromString(answer[10:]).error.kind, pb.Error.BAD_MESSAGE, (tag, body))

    def test_descriptors_that_nobody_asked_for_are_closed(self):
        before = self.fds()
        null = os.open("/dev/null", os.O_RDWR)
        payload = pb.Request(get_state=pb.GetState()).SerializeToString()
        for count in (1, 3, 4, 50):
            self.raw(struct.pack(">IIBB", len(payload), 1, 1, 0) + payload, [null] * count)
        os.close(null)
        self.assertTrue(eventually(lambda: self.fds() <= before))

    def test_a_peer_that_does_not_read_is_cut(self):
        client = self.pod.connect()
        client.socket.settimeout(0.5)
        payload = pb.Request(get_state=pb.GetState()).SerializeToString()
        frame = struct.pack(">IIBB", len(payload), 1, 1, 0) + payload
        with self.assertRaises((ConnectionError, socket.timeout)):
            for _ in range(200_000):
                client.socket.sendall(frame * 100)
        client.close()
        self.pod.state()
        with open(f"/proc/{self.pod.pid}/status") as file:
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        if not SANITIZED:
            self.assertLess(resident, 4096)

    def test_only_our_user_is_served(self):
        script = ("import socket,os,sys; os.chdir(sys.argv[1]); s=socket.socket(socket.AF_UNIX); os.setuid(1000)\n"
                  "try:\n s.connect('shim.sock'); s.settimeout(2); s.sendall(b'x'); sys.exit(0 if s.recv(1)==b'' else 1)\n"
                  "except (PermissionError, ConnectionError): sys.exit(0)")
        os.chmod(f"{self.pod.dir}/shim.sock", 0o777)
        self.assertEqual(subprocess.run([sys.executable, "-c", script, self.pod.dir]).returncode, 0)

    def test_a_client_that_is_killed(self):
        script = "import sys, os, time\nsys.path.insert(0, os.getcwd())\nfrom harness import *\n" \
                 "c = Client(sys.argv[1]); c.call(hello=pb.Hello(protocol=1, subscribe=True)); print('up', flush=True); time.sleep(60)"
        here = os.open(self.pod.dir, os.O_PATH)
        os.set_inheritable(here, True)
        child = subprocess.Popen([sys.executable, "-B", "-c", script, f"/proc/self/fd/{here}/shim.sock"], close_fds=False,
                                 stdout=subprocess.PIPE)
        os.close(here)
        self.assertEqual(child.stdout.readline(), b"up\n")
        before = self.fds()
        child.kill()
        child.wait()
        child.stdout.close()
        self.assertTrue(eventually(lambda: self.fds() == before - 1))
        self.assertEqual(self.pod.run("after", ["true"]).exit_code, 0)

    def test_ids_are_plain_names(self):
        for name in ("", "../x", "a/b", ".hidden", "a b", "x" * 128, "a\nb"):
            with self.assertRaises(ShimError) as caught:
                self.pod.client.call(create_container=pb.CreateContainer(id=name, plan=b"", pid=pb.NS_NEW))
            self.assertEqual(caught.exception.kind, "BAD_MESSAGE", name)

    def test_a_plan_that_is_none(self):
        for plan in (b"", b"\xff\xff", b"\x0a"):
            with self.assertRaises(ShimError) as caught:
                self.pod.client.call(create_container=pb.CreateContainer(id="noplan", plan=plan, pid=pb.NS_NEW))
            self.assertEqual(caught.exception.kind, "BAD_MESSAGE", plan)

    def test_seccomp_before_and_after_no_new_privs(self):
        # A filter that refuses mkdir (83) with errno 77 and lets everything else through.
        code = b"".join(struct.pack("HBBI", *i) for i in
                        ((0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x00050000 | 77), (0x06, 0, 0, 0x7fff0000)))
        for name, nnp in (("filter1", False), ("filter2", True)):
            self.pod.run(name, ["sh", "-c", "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; mkdir /tmp/x; echo $?"],
                         process={"seccomp": code, "no_new_privs": nnp, "uid": 1000, "gid": 1000,
                                  "cap_permitted": 0, "cap_effective": 0, "cap_bounding": 0})
            out = self.pod.output(name).split()
            self.assertEqual(out[:4], ["NoNewPrivs:", "1" if nnp else "0", "Seccomp:", "2"])
            self.assertNotEqual(out[-1], "0")
        for bad in (b"1234567", b"\xff" * 8):
            with self.assertRaises(ShimError) as caught:
                self.pod.create("badfilter", ["true"], process={"seccomp": bad})
            self.assertEqual(caught.exception.step, "seccomp")

    def test_capabilities_of_users(self):
        self.pod.run("caps", ["grep", "Cap", "/proc/self/status"],
                     process={"uid": 1000, "gid": 1000, "cap_permitted": 1 << 10, "cap_effective": 1 << 10,
                              "cap_inheritable": 1 << 10, "cap_ambient": 1 << 10, "cap_bounding": 1 << 10 | 1})
        caps = dict(line.split(":\t") for line in self.pod.output("caps").splitlines())
        self.assertEqual([int(caps[c], 16) for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
                         [1 << 10, 1 << 10, 1 << 10, 1 << 10 | 1, 1 << 10])

    def test_nothing_of_ours_is_in_sight_of_a_container(self):
        out = self.pod.exec("c", ["sh", "-c", "cat /proc/net/unix; ls /proc; cat /proc/1/environ; id"])[1]
        self.assertNotIn("shim.sock", out)
        self.assertNotIn("BERTH", out)

    def test_no_socket_of_ours_has_a_name_in_a_network_namespace(self):
        """An abstract one could be connected to by whoever shares the node's network."""
        ours = set()
        for pid in self.pod.descendants() | {self.pod.pid}:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{fd}")
                if link.startswith("socket:"):
                    ours.add(link[8:-1])
        with open("/proc/net/unix") as file:  # of the namespace that the shim has made them in
            named = {line.split()[6]: line.split()[7:] for line in list(file)[1:]}
        self.assertTrue(ours & named.keys())
        self.assertEqual([named[inode] for inode in ours & named.keys() if "".join(named[inode]).startswith("@")], [])

    def test_whoever_has_the_shims_user_and_capabilities_cannot_look_into_it(self):
        """But for CAP_SYS_PTRACE, which a container in the node's pid namespace has only when it was given."""
        script = ("import ctypes, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                  "class Vec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]\n"
                  "header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
                  "libc.capget(header, data)\ndata[0] &= ~(1 << 19)\nassert libc.capset(header, data) == 0\n"
                  "buffer = ctypes.create_string_buffer(16)\nhere, there = Vec(ctypes.addressof(buffer), 16), Vec(0x400000, 16)\n"
                  "n = libc.process_vm_readv(int(sys.argv[1]), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)\n"
                  "sys.exit(ctypes.get_errno() if n < 0 else 0)")
        look = lambda pid: subprocess.run([sys.executable, "-c", script, str(pid)]).returncode
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.assertNotEqual(look(other.pid), 1)  # one that does not protect itself: another address, but no EPERM
        other.communicate(b"\n")
        self.assertEqual(look(self.pod.pid), 1)

    def test_a_created_container_has_no_descriptor_but_its_streams_and_the_one_it_waits_on(self):
        pid = self.pod.create("descriptors", ["true"]).pid
        self.assertEqual(sorted(os.listdir(f"/proc/{pid}/fd")), ["0", "1", "2", "3"])

    def test_a_working_directory_outside_the_root_is_refused_however_it_is_reached(self):
        """In the node's pid namespace somebody else's root is a path."""
        with Pod(pid=pb.NS_HOST) as pod:
            pod.up("c")
            for cwd in (f"/proc/{os.getpid()}/root/tmp", f"/proc/{os.getpid()}/cwd"):
                with self.assertRaises(ShimError) as caught:
                    pod.create("out", ["true"], process={"cwd": cwd})
                self.assertEqual((caught.exception.kind, caught.exception.step, caught.exception.errno), ("START", "chdir", 18))
                with self.assertRaises(ShimError) as caught:
                    pod.exec("c", ["true"], cwd=cwd)
                self.assertEqual((caught.exception.kind, caught.exception.step, caught.exception.errno), ("START", "chdir", 18))


if __name__ == "__main__":
    unittest.main()

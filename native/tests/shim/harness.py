"""Drives a real berth-shim as berthd does: spawn contract, framing, cgroups, an overlay of busybox."""

import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

import reports
from client import Client, ShimError, pb  # noqa: F401

SHIM = os.environ["BERTH_SHIM"]
BUSYBOX = "/bin/busybox"
libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED, MS_SLAVE = 0x1000, 0x4000, 1 << 18, 1 << 20, 1 << 19
MS_STRICTATIME, MS_RELATIME = 1 << 24, 1 << 21
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "systemd")
DEFAULT_CAPS = sum(1 << n for n in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
MASKED = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def syscall(number, *args):
    result = libc.syscall(number, *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mount(source, target, fstype=None, flags=0, data=None):
    enc = lambda s: s.encode() if s else None
    if libc.mount(enc(source), enc(target), enc(fstype), ctypes.c_ulong(flags), enc(data)) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def umount(target):
    if libc.umount2(target.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), f"umount {target}")


def detached_readonly(path):
    """The binary on a mount of its own that nobody can write through."""
    tree = syscall(428, -100, ctypes.c_char_p(path.encode()), 0x1 | 0x80000)  # open_tree, CLONE | CLOEXEC
    attr = struct.pack("QQQQ", 1, 0, 0, 0)  # MOUNT_ATTR_RDONLY
    syscall(442, tree, ctypes.c_char_p(b""), 0x1000, ctypes.c_char_p(attr), len(attr))
    return tree


DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))


def make_own_dev():
    """A mount namespace with a /dev that takes the place of the node's: for what would damage the machine's."""
    syscall(272, 0x20000)  # unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755")
    os.umask(0)
    for name, major, minor in DEVICES:
        os.mknod(f"/dev/{name}", 0o020666, os.makedev(major, minor))
    os.umask(0o022)


def alive(pid):
    """False also for a zombie: init may take its time to reap."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def eventually(test, seconds=5):
    end = time.time() + seconds
    while not test():
        if time.time() > end:
            return False
        time.sleep(0.01)
    return True


class Cgroups:
    """One directory a controller below a root of our own; nothing else is ever touched."""

    def __init__(self, name):
        self.name = name
        self.made = []

    def make(self, path):
        for controller in CONTROLLERS:
            full = f"/sys/fs/cgroup/{controller}/{self.name}/{path}"
            os.makedirs(full, exist_ok=True)
            if controller == "cpuset":
                parts = f"{self.name}/{path}".split("/")
                for i in range(1, len(parts) + 1):
                    base = "/sys/fs/cgroup/cpuset/" + "/".join(parts[:i])
                    for file in ("cpuset.cpus", "cpuset.mems"):
                        with open(f"/sys/fs/cgroup/cpuset/{file}") as source:
                            with open(f"{base}/{file}", "w") as target:
                                target.write(source.read())
        return [f"/sys/fs/cgroup/{c}/{self.name}/{path}" for c in CONTROLLERS]

    def members(self):
        found = []
        for controller in CONTROLLERS:
            for base, _, _ in os.walk(f"/sys/fs/cgroup/{controller}/{self.name}"):
                with open(f"{base}/cgroup.procs") as file:
                    found += [(base, int(line)) for line in file]
        return found

    def remove(self):
        left = []
        for controller in CONTROLLERS:
            for base, _, _ in os.walk(f"/sys/fs/cgroup/{controller}/{self.name}", topdown=False):
                for _ in range(100):
                    try:
                        os.rmdir(base)
                        break
                    except OSError as error:
                        if error.errno != errno.EBUSY:
                            break
                        time.sleep(0.01)
                else:
                    left.append(base)
        return left


def make_rootfs(layers):
    """One layer with busybox and a few oddities, as an image would bring them."""
    root = f"{layers}/base"
    for directory in ("bin", "etc", "tmp", "run", "root", "var", "home/user"):
        os.makedirs(f"{root}/{directory}")
    os.chmod(f"{root}/tmp", 0o1777)
    shutil.copy(BUSYBOX, f"{root}/bin/busybox")
    for applet in ("sh ls cat echo sleep true false id mount umount touch mkdir kill ps env seq head yes grep nproc "
                   "dd printf stty tty wc readlink stat hostname df tail rm test sync unshare setsid tr ln cut mv chmod chown mkfifo").split():
        os.symlink("busybox", f"{root}/bin/{applet}")
    os.symlink("/run", f"{root}/var/run")
    os.symlink("/nowhere/below", f"{root}/var/dangling")
    os.symlink("../../../../../../etc", f"{root}/var/climber")
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\n")
    with open(f"{root}/etc/noexec", "w") as file:
        file.write("not a program\n")
    return root


class Pod:
    counter = 0

    def __init__(self, pid=pb.NS_NEW, net=pb.NS_NEW, ipc=pb.NS_POD, uts=pb.NS_POD, start=True, net_fd=None,
                 own_dev=False, without_caps=(), nofile=None, supervisor=None, scarcity=None, **plan):
        Pod.counter += 1
        self.id = f"test-{os.getpid()}-{Pod.counter}"
        self.base = tempfile.mkdtemp(prefix="berth-shim-")
        self.dir = f"{self.base}/pods/{self.id}"
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o700)
        self.layers = f"{self.base}/layers"
        make_rootfs(self.layers)
        self.cgroups = Cgroups(f"berth-shim-{self.id}")
        self.pid_mode, self.ipc, self.net, self.uts = pid, ipc, net, uts
        self.pids, self.clients, self.ended = [], [], False
        self._spawn(net_fd, own_dev, without_caps, nofile, supervisor, scarcity)
        try:
            self.client = self.connect()
            hello = self.client.call(hello=pb.Hello(protocol=1, subscribe=True))
            self.pid, self.hello = hello.pid, hello
            if start:
                self.start(**plan)
        except (EOFError, OSError, ShimError) as error:
            self._blame_sanitizers(error)
            raise

    def _spawn(self, net_fd, own_dev, without_caps, nofile, supervisor, scarcity):
        listener = socket.socket(socket.AF_UNIX)
        here = os.open(self.dir, os.O_PATH | os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{here}/shim.sock")
        listener.listen(64)
        binary = detached_readonly(SHIM if scarcity is None else scarcity.program)
        self.log = f"{self.base}/shim.log"
        environment = {**reports.environment(self.base), **(scarcity.environment if scarcity is not None else {})}
        child = os.fork()
        if child == 0:
            try:
                os.chdir(self.dir)
                if net_fd is not None:
                    os.dup2(net_fd, 110)
                null, log = os.open("/dev/null", os.O_RDWR), os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                high = [os.dup2(fd, 100 + i) for i, fd in enumerate((null, log, log, listener.fileno(), here, binary))]
                for i in range(5):
                    os.dup2(high[i], i)
                os.set_inheritable(high[5], False)
                if net_fd is not None:
                    os.dup2(110, 5)
                if nofile is not None:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
                os.dup2(high[3], 20)  # leaked by its starter: must be closed
                if own_dev:
                    make_own_dev()
                for cap in without_caps:
                    libc.prctl(24, cap, 0, 0, 0)  # PR_CAPBSET_DROP
                if supervisor is not None:
                    supervisor.enter()
                os.execve(high[5], ["berth-shim", self.id], environment)
            finally:
                os._exit(99)
        if supervisor is not None:
            supervisor.serve()
        _, status = os.waitpid(child, 0)
        os.close(binary)
        os.close(here)
        listener.close()
        assert status == 0, f"shim did not start: {status} {open(self.log).read()}"

    def connect(self):
        here = os.open(self.dir, os.O_PATH | os.O_DIRECTORY)
        client = Client(f"/proc/self/fd/{here}/shim.sock")
        os.close(here)
        self.clients.append(client)
        return client

    def start(self, **plan):
        self.shim_cgroups = [f"/sys/fs/cgroup/freezer/{self.cgroups.name}/shim"]
        os.makedirs(os.path.dirname(self.shim_cgroups[0]), exist_ok=True)
        values = dict(pod_id=self.id, shim_cgroup_dirs=self.shim_cgroups, net=self.net, ipc=self.ipc,
                      pid=self.pid_mode, uts=self.uts, hostname="pod-host" if self.uts == pb.NS_POD else "",
                      shm_bytes=(64 << 20) if self.ipc == pb.NS_POD else 0, shim_oom_score_adj=-999)
        values.update(plan)
        self.started = self.client.call(start_pod=pb.StartPod(**values))
        return self.started

    # --- containers

    def process(self, args, **values):
        fields = dict(args=[a.encode() if isinstance(a, str) else a for a in args],
                      env=[b"PATH=/bin:/usr/bin", b"HOME=/root"], cwd="/", umask=0o022,
                      cap_bounding=DEFAULT_CAPS, cap_effective=DEFAULT_CAPS, cap_permitted=DEFAULT_CAPS,
                      rlimits=[pb.Rlimit(resource=7, soft=1024, hard=524288)])
        fields.update(values)
        return pb.Process(**fields)

    def plan(self, name, args, mounts=(), process=None, rootfs=None, masked=MASKED, readonly=READONLY, tty=False,
             proc=None, **values):
        upper, work = f"{self.base}/containers/{name}/upper", f"{self.base}/containers/{name}/work"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        root = dict(layers_dir=self.layers, lowers=["base"], upper=upper, work=work)
        root.update(rootfs or {})
        fs = lambda dest, kind, flags, data="": pb.Mount(kind=pb.Mount.FS, fstype=kind, destination=dest, flags=flags,
                                                         data=data)
        safe = MS_NOSUID | MS_NOEXEC | MS_NODEV
        standard = [proc or fs("/proc", "proc", safe),
                    fs("/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
                    fs("/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
                    fs("/dev/mqueue", "mqueue", safe),
                    fs("/sys", "sysfs", safe | MS_RDONLY),
                    pb.Mount(kind=pb.Mount.CGROUP, destination="/sys/fs/cgroup", flags=safe | MS_RDONLY),
                    pb.Mount(kind=pb.Mount.POD_SHM, destination="/dev/shm", flags=safe)]
        devices = [pb.Device(path=f"/dev/{n}", type=0o020000, major=a, minor=b, mode=0o666)
                   for n, a, b in DEVICES]
        mode = lambda m: pb.NS_POD if m in (pb.NS_POD, pb.NS_NEW) else pb.NS_HOST
        fields = dict(net=mode(self.net), ipc=self.ipc, uts=self.uts,
                      cgroup_dirs=[pb.CgroupDir(dir=d) for d in self.cgroups.make(name)],
                      rootfs=pb.Rootfs(**root), mounts=standard + list(mounts), masked_paths=masked,
                      readonly_paths=readonly, devices=devices,
                      process=self.process(args, tty=tty, **(process or {})))
        fields.update(values)
        return pb.ContainerPlan(**fields)

    def log_path(self, name):
        return f"{self.base}/logs/{name}/0.log"

    def create(self, name, args, log=True, pid=None, request=None, plan=None, tty=False, client=None, **values):
        encoded = plan if plan is not None else self.plan(name, args, tty=tty, **values).SerializeToString()
        fields = dict(id=name, plan=encoded, pid=self.pid_mode if pid is None else pid,
                      kill_dir=f"/sys/fs/cgroup/freezer/{self.cgroups.name}/{name}",
                      oom_file=f"/sys/fs/cgroup/memory/{self.cgroups.name}/{name}/memory.oom_control",
                      log_path=self.log_path(name) if log else "", tty=tty, setup_timeout_ms=10000)
        fields.update(request or {})
        return (client or self.client).call(create_container=pb.CreateContainer(**fields))

    def begin(self, name):
        return self.client.call(start_container=pb.StartContainer(id=name))

    def run(self, name, args, timeout=10, **values):
        """Create, start, wait: the exit record."""
        self.create(name, args, **values)
        self.begin(name)
        return self.client.wait_exit(name, timeout)

    def up(self, name, args=("sleep", "1000"), **values):
        created = self.create(name, args, **values)
        self.begin(name)
        return created.pid

    def output(self, name):
        """What a container wrote to stdout, taken from its log."""
        text = b""
        for stream, tag, line in self.records(name):
            if stream == "stdout":
                text += line + (b"\n" if tag == "F" else b"")
        return text.decode(errors="replace")

    def records(self, name, path=None):
        found = []
        with open(path or self.log_path(name), "rb") as file:
            data = file.read()
        assert data == b"" or data.endswith(b"\n"), "the log ends inside a record"
        for record in data.split(b"\n")[:-1]:
            stamp, stream, tag, line = record.split(b" ", 3)
            assert len(stamp) == 30 and stamp.endswith(b"Z"), stamp
            found.append((stream.decode(), tag.decode(), line))
        return found

    def kill(self, name, sig=signal.SIGKILL, all=False):
        self.client.call(kill_container=pb.KillContainer(id=name, signal=sig, all=all))

    def state(self, client=None):
        return (client or self.client).call(get_state=pb.GetState())

    # --- execs

    def exec(self, name, args, timeout_ms=0, exec_id=None, wait=True, stdin=b"", **process):
        """Runs a command in a container: (exit code, stdout, stderr, timed out)."""
        Pod.counter += 1
        exec_id = exec_id or f"x{Pod.counter}"
        client = self.connect()
        in_r, in_w = os.pipe()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        try:
            os.write(in_w, stdin)
            message = pb.Exec(container_id=name, exec_id=exec_id, timeout_ms=timeout_ms,
                              process=self.process(args, **process).SerializeToString())
            stream = client.send((in_r, out_w, err_w), exec=message)
            for fd in (in_r, in_w, out_w, err_w):
                os.close(fd)
            started = client.wait(stream)
            if not wait:
                return client, started, out_r, err_r
            exited = client.wait_exec(exec_id)
            read = lambda fd: b"".join(iter(lambda: os.read(fd, 65536), b"")).decode(errors="replace")
            return exited.exit_code, read(out_r), read(err_r), exited.timed_out
        finally:
            if wait:
                for fd in (out_r, err_r):
                    try:
                        os.close(fd)
                    except OSError:
                        pass
                client.close()

    # --- the end

    def shutdown(self):
        if self.ended:
            return
        self.ended = True
        self.client.call(shutdown=pb.Shutdown())

    def descendants(self):
        """Every process that descends from the shim."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as file:
                        parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
                except OSError:
                    pass
        found, front = set(), [self.pid]
        while front:
            at = front.pop()
            for child in [p for p, parent in parents.items() if parent == at]:
                found.add(child)
                front.append(child)
        return found

    def _blame_sanitizers(self, error):
        """What a sanitizer has ended shows as something else."""
        found = reports.found(self.base)
        assert not found, f"the sanitizers say: {found} {error}"

    def close(self):
        """Ends the pod and fails when anything of it is left."""
        mine = self.descendants() | {self.pid}
        try:
            self.shutdown()
        except (EOFError, OSError) as error:
            self._blame_sanitizers(error)
            raise
        for client in self.clients:
            client.close()
        eventually(lambda: not any(alive(p) for p in mine))
        left = [p for p in mine if alive(p)]
        cgroups = os.path.exists(self.shim_cgroups[0]) if hasattr(self, "shim_cgroups") else False
        members, kept = self.cgroups.members(), self.cgroups.remove()
        with open("/proc/self/mountinfo") as file:
            mounts = [line for line in file if self.base in line]
        with open(self.log) as file:
            said = file.read()
        found = reports.found(self.base)
        shutil.rmtree(self.base)
        assert not found, f"the sanitizers say: {found}"
        assert not left, f"processes left: {left} {said}"
        assert not cgroups and not members and not kept, f"cgroups left: {members} {kept} {said}"
        assert not mounts, f"mounts left: {mounts}"
        return said

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.close()
        else:
            try:
                with open(self.log) as file:
                    print(file.read(), file=sys.stderr)
                self.close()
            except Exception as error:  # the first failure is the one to see
                print("clean-up:", error, file=sys.stderr)

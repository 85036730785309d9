#!/usr/bin/env python3
"""Gives hostile and honest layers to berth-unpack and looks at what it made of them.

    archives_test.py <berth-unpack>

Every case unpacks into <jail>/root; whatever appears or changes in <jail> outside of it is an escape.
"""
import gzip
import hashlib
import io
import json
import os
import resource
import stat
import subprocess
import sys
import tarfile
import tempfile

from layers import device, directory, entry, file, link, many, symlink, tar, xattrs

UNPACK = os.path.abspath(sys.argv[1])
LONG = os.environ.get("BERTH_LONG") == "1"
# For tens of thousands of inodes: on a busy disk making and removing them takes minutes, which is the disk's own affair.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Unpacked:
    def __init__(self, result, status, root, lines):
        self.result, self.status, self.root, self.lines = result, status, root, lines

    def stat(self, name):
        return os.lstat(os.path.join(self.root, name))

    def exists(self, name):
        return os.path.lexists(os.path.join(self.root, name))

    def read(self, name):
        with open(os.path.join(self.root, name), "rb") as f:
            return f.read()

    def is_whiteout(self, name):
        status = self.stat(name)
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0

    def is_opaque(self, name):
        try:
            return os.getxattr(os.path.join(self.root, name), "trusted.overlay.opaque") == b"y"
        except OSError:
            return False


class Jail:
    def __init__(self, where=None):
        self.where = where

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="berth-unpack-", dir=self.where)
        self.root = os.path.join(self.top, "root")
        os.mkdir(self.root, 0o755)
        os.mkdir(os.path.join(self.top, "outside"))
        with open(os.path.join(self.top, "sentinel"), "w") as f:
            f.write("untouched")
        self.before = self.look()
        return self

    def __exit__(self, *_):
        subprocess.run(["rm", "-rf", self.top], check=True)

    def look(self):
        seen = {}
        for at, directories, files in os.walk(self.top):
            if at == self.root:
                directories[:] = []
                continue
            for name in directories + files:
                path = os.path.join(at, name)
                status = os.lstat(path)
                seen[path] = (status.st_mode, status.st_uid, status.st_size, status.st_nlink if name != "root" else 0)
        seen.pop(self.root, None)
        return seen

    def unpack(self, data, *options, piece=None):
        read_end, write_end = os.pipe()
        destination = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)

        def set_fds():
            # Out of the way first, then into place.
            result = os.dup2(write_end, 100)
            target = os.dup2(destination, 101)
            os.dup2(result, 3)
            os.dup2(target, 4)

        child = subprocess.Popen([UNPACK, *options], stdin=subprocess.PIPE, preexec_fn=set_fds, close_fds=False)
        os.close(write_end)
        os.close(destination)
        if os.fork() == 0:
            # Feeds; a child that refuses early breaks the pipe.
            os.close(read_end)
            try:
                for at in range(0, len(data), piece or max(1, len(data))):
                    os.write(child.stdin.fileno(), data[at : at + piece] if piece else data)
                    if not piece:
                        break
            except OSError:
                pass
            os._exit(0)
        child.stdin.close()
        with os.fdopen(read_end, "rb") as results:
            lines = [json.loads(line) for line in results.read().decode("latin1").splitlines()]
        status = child.wait()
        os.wait()
        if self.look() != self.before:
            raise AssertionError("something outside the root changed")
        return Unpacked(lines[-1] if lines else None, status, self.root, lines)


failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print("  does not hold:", what)


def refused(sentence, data, words, code="INVALID", name=None, options=(), where=None):
    print(sentence)
    with Jail(where) as jail:
        got = jail.unpack(data, *options)
        result = got.result or {}
        check(result.get("ok") is False and got.status == 1, f"refused: {got.result} status {got.status}")
        check(result.get("code") == code, f"code {code}: {result}")
        check(words in result.get("message", ""), f"message has {words!r}: {result}")
        if name is not None:
            check(result.get("entry") == name, f"entry {name!r}: {result}")


def accepted(sentence, data, look=None, options=(), piece=None):
    print(sentence)
    with Jail() as jail:
        got = jail.unpack(data, *options, piece=piece)
        check(got.result is not None and got.result.get("ok") is True and got.status == 0, f"accepted: {got.result} {got.status}")
        if got.result and got.result.get("ok") and look:
            look(got)


def ways_out():
    def in_root(*names):
        return lambda got: check(all(got.exists(name) for name in names), f"in the root: {names}, {os.listdir(got.root)}")

    # As in the container, where above the root is the root; the jail sees to it that nothing appears outside.
    accepted("a name with ..", tar(file("../sentinel", b"mine")), in_root("sentinel"))
    accepted("a name with .. inside", tar(directory("a"), file("a/../../x"), file("a/b/../c")), in_root("x", "a/c"))
    accepted("a symlink out, then through it", tar(symlink("out", "../outside"), file("out/x")), in_root("outside/x"))
    accepted("a sly symlink out", tar(directory("a"), symlink("a/out", "../a/../../outside"), file("a/out/x")), in_root("outside/x"))
    accepted("a chain of symlinks out", tar(symlink("a", ".."), symlink("b", "a/outside"), file("b/x")), in_root("outside/x"))
    accepted("a directory through a symlink out", tar(symlink("out", "../outside"), directory("out/d")), in_root("outside/d"))
    accepted("a hard link to ..", tar(file("f"), link("x", "../f")), in_root("x"))
    refused("a hard link to what is outside", tar(link("x", "../sentinel")), "not in this layer")
    refused("a hard link through a symlink out", tar(symlink("out", ".."), link("x", "out/sentinel")), "not in this layer")
    refused("a whiteout of ..", tar(file(".wh...")), "whiteout")
    accepted("a whiteout through a symlink out", tar(symlink("out", ".."), file("out/.wh.sentinel")), lambda got: check(got.is_whiteout("sentinel"), "in the root"))
    accepted("an opaque mark through a symlink out", tar(symlink("out", "../outside"), file("out/.wh..wh..opq")), lambda got: check(got.is_opaque("outside"), "in the root"))
    refused("symlinks in a circle", tar(symlink("a", "b"), symlink("b", "a"), file("a/x")), "symlinks")

    def absolute(got):
        check(got.read("etc/passwd") == b"mine" and got.exists("root/sentinel"), "absolute names lie in the root")

    accepted("absolute names", tar(file("/etc/passwd", b"mine"), file("//root//sentinel")), absolute)

    def replaced(got):
        check(got.read("link") == b"new" and not stat.S_ISLNK(got.stat("link").st_mode), "the link itself was replaced")

    accepted("a file over a symlink out", tar(symlink("link", "../sentinel"), file("link", b"new")), replaced)
    accepted("a symlink out that nobody uses", tar(symlink("out", "../../../../etc/shadow")))

    def inside(got):
        check(got.read("usr/lib/x") == b"x" and got.read("usr/lib/y") == b"y", "in the target of the link")
        check(got.result["implied"] == ["usr", "usr/lib"], f"real names are reported: {got.result['implied']}")

    accepted("a way through absolute and relative links", tar(symlink("lib", "/usr/lib"), file("lib/x", b"x"), symlink("lib2", "lib"), file("lib2/y", b"y")), inside)


def disguises():
    refused("a directory named as a whiteout", tar(directory(".wh.a"), file(".wh.a/b")), "whiteout")
    refused("a hard link to a directory", tar(directory("d"), link("x", "d")), "hard link to a directory")
    refused("a hard link to nothing", tar(link("x", "nothing")), "not in this layer")
    refused("a hard link named as a whiteout's target", tar(file("a"), link("b", ".wh.a")), "hard link")
    refused("an owner that is nobody", tar(file("x", uid=0xFFFFFFFF)), "out of range")
    refused("a file where a directory must be", tar(file("a"), file("a/b")), "not a directory")
    refused("a root that is a symlink", tar(symlink(".", "/etc")), "root of a layer")

    def ignored(got):
        names = os.listxattr(os.path.join(got.root, "x"))
        check(names == ["user.good"], f"only what is allowed: {names}")

    accepted("attributes for overlayfs", tar(xattrs("x", trusted__overlay__opaque="y", user__overlay__redirect="/etc", trusted__overlay__redirect="/", user__good="1")), ignored)

    def skipped(got):
        check(os.listdir(got.root) == ["x"], "another driver's books are left out")

    accepted("names of another storage driver", tar(directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs"), file("x")), skipped)


def whiteouts():
    def plain(got):
        check(got.is_whiteout("a/gone"), "a device 0:0")
        check(got.is_opaque("a/o"), "an opaque directory")
        check(got.result["opaque"] == ["a/o"], f"reported: {got.result['opaque']}")

    accepted("whiteouts and opaque directories", tar(directory("a"), file("a/.wh.gone"), directory("a/o"), file("a/o/.wh..wh..opq")), plain)

    def both(got):
        check(got.read("f") == b"new", "the file of the layer stays")
        check(got.is_opaque("d") and got.read("d/x") == b"x", "the directory hides what is below")

    accepted("a whiteout, then the name", tar(file(".wh.f"), file("f", b"new"), file(".wh.d"), directory("d"), file("d/x")), both)
    accepted("the name, then a whiteout", tar(file("f", b"new"), file(".wh.f"), directory("d"), file("d/x"), file(".wh.d")), both)
    accepted("a whiteout, then a directory only implied", tar(file(".wh.f"), file("f", b"new"), file(".wh.d"), file("d/x")), both)
    def kernels(got):
        check(got.is_whiteout("x") and got.is_whiteout("a/y") and got.is_whiteout("z"), "whiteouts")
        check(not got.exists("d/f"), "what had the name goes")
        check(got.is_opaque("n") and got.read("n/f") == b"x", "a directory in its place hides what is below")

    def no(name):
        return device(name, 0, 0)

    accepted("character devices 0:0, the kernel's whiteouts", tar(no("x"), no("a/y"), directory("d"), file("d/f"), no("d"), no("n"), file("n/f"), link("z", "x")), kernels)
    accepted("an opaque root", tar(file(".wh..wh..opq")), lambda got: check(got.result["opaque"] == [""], "reported as the empty name"))


def fidelity():
    def same(got):
        f, d = got.stat("d/f"), got.stat("d")
        check((f.st_mode & 0o7777, f.st_uid, f.st_gid) == (0o4751, 1000, 2000), "mode and owner of the file")
        check((d.st_mode & 0o7777, d.st_uid, d.st_mtime) == (0o3770, 3, 1234), "mode, owner, time of the directory")
        check(f.st_mtime == 1111.5, f"time of the file: {f.st_mtime}")
        check(f.st_ino == got.stat("d/hard").st_ino, "hard link")
        check(os.readlink(os.path.join(got.root, "d/s")) == "f" and got.stat("d/s").st_uid == 5, "symlink and its owner")
        check(stat.S_ISFIFO(got.stat("pipe").st_mode), "fifo")
        n = got.stat("null")
        check(stat.S_ISCHR(n.st_mode) and n.st_rdev == os.makedev(1, 3), "device")
        b = got.stat("disk")
        check(stat.S_ISBLK(b.st_mode) and b.st_rdev == os.makedev(8, 0), "block device")
        check(got.exists("é") and got.exists(b"\xff\xfe".decode("utf-8", "surrogateescape")), "names are bytes")
        check(len(got.result["implied"]) == 0 and got.result["inodes"] == 8, f"counted: {got.result}")

    s = symlink("d/s", "f")
    s[0].uid = 5
    f = file("d/f", b"data", mode=0o4751, uid=1000, gid=2000)
    f[0].pax_headers = {"mtime": "1111.5"}
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    entries = [directory("d", mode=0o3770, uid=3, mtime=1234), f, link("d/hard", "d/f"), s, entry("pipe", tarfile.FIFOTYPE), device("null", 1, 3), device("disk", 8, 0, tarfile.BLKTYPE), file("é"), file(odd)]
    accepted("everything stays as it was (pax)", tar(*entries), same)
    f[0].pax_headers = {}
    accepted("everything stays as it was (gnu)", tar(*entries, form=tarfile.GNU_FORMAT), lambda got: check(got.exists("é") and got.exists(odd), "names are bytes"))

    def replaced(got):
        check(got.read("a") == b"2" and got.read("b") == b"file now" and got.read("c/kept") == b"k", "the later entry counts")
        check(got.stat("c").st_mode & 0o777 == 0o700 and not got.exists("b/x"), "directories merge, files replace")
        check(got.stat("l").st_mode & 0o170000 == stat.S_IFDIR, "a directory over a symlink")

    accepted("names that come twice", tar(file("a", b"1"), file("a", b"2"), directory("b"), file("b/x"), file("b", b"file now"), directory("c"), file("c/kept", b"k"), directory("c", mode=0o700), directory("t"), symlink("l", "t"), directory("l"), file("l/x")), replaced)
    accepted("a hard link to itself", tar(file("a", b"data"), link("a", "a")), lambda got: check(got.read("a") == b"data", "still there"))
    accepted("long names", tar(file("/".join(["d" * 60] * 40) + "/f")), lambda got: check(got.exists("/".join(["d" * 60] * 40) + "/f"), "there"))
    implied = {"implied": ["a", "a/b"]}
    accepted("directories without an entry are reported", tar(file("a/b/c"), directory("x"), file("x/y")), lambda got: check(got.result["implied"] == implied["implied"] and got.stat("a/b").st_mode & 0o7777 == 0o755, "reported"))
    accepted("an entry may come after what is in it", tar(file("a/b"), directory("a", mode=0o711)), lambda got: check(got.result["implied"] == [] and got.stat("a").st_mode & 0o777 == 0o711, "declared"))
    accepted("the root has an entry", tar(directory("./", mode=0o711, uid=9)), lambda got: check(os.stat(got.root).st_mode & 0o777 == 0o711 and os.stat(got.root).st_uid == 9, "mode and owner"))
    capability = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00" * 12
    accepted("file capabilities", tar(xattrs("x", security__capability=capability)), lambda got: check(os.getxattr(os.path.join(got.root, "x"), "security.capability")[:4] == b"\x01\0\0\2", "set"))
    sparse = subprocess.run("cd $(mktemp -d) && truncate -s 10M s && printf end >> s && printf a | dd of=s conv=notrunc bs=1 seek=5000000 2>/dev/null && tar -S -cf - s && rm s", shell=True, stdout=subprocess.PIPE, check=True).stdout

    def holes(got):
        content = got.read("s")
        check(len(content) == 10 * 1024 * 1024 + 3 and content.endswith(b"end") and content[5_000_000:5_000_001] == b"a", "content")
        check(got.stat("s").st_blocks * 512 < 1 << 20, "holes stay holes")

    accepted("a sparse file", sparse, holes)

    def sparse_tar(form, size, *places):
        """Made by tar from a file with a letter at each place."""
        with tempfile.TemporaryDirectory() as where:
            with open(f"{where}/s", "wb") as f:
                f.truncate(size)
                for place in places:
                    f.seek(place)
                    f.write(b"x")
            return subprocess.run(["tar", "-C", where, *form, "-S", "-cf", "-", "s"], stdout=subprocess.PIPE, check=True).stdout

    forms = [["--format=gnu"], *[["--format=pax", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")]]
    for form in forms:
        size, places = 65 << 30, (0, 5 << 30, (65 << 30) - 1)

        def huge(got):
            status = got.stat("s")
            with open(os.path.join(got.root, "s"), "rb") as f:
                seen = [os.pread(f.fileno(), 1, place) for place in places]
            check(status.st_size == size and seen == [b"x"] * 3 and os.listdir(got.root) == ["s"], f"content: {status.st_size} {seen}")
            check(status.st_blocks * 512 < 1 << 20 and got.result["bytes"] < 1 << 20, f"real blocks: {status.st_blocks} {got.result['bytes']}")

        accepted(f"a sparse file of 65 GiB, {' '.join(form)}", sparse_tar(form, size, *places), huge, options=("--max-bytes=1000000",))
        accepted(f"a hole alone, {' '.join(form)}", sparse_tar(form, 1 << 40), lambda got: check((got.stat("s").st_size, got.stat("s").st_blocks) == (1 << 40, 0), "a hole"), options=("--max-bytes=1000",))
        refused(f"a sparse file with more data than allowed, {' '.join(form)}", sparse_tar(form, 1 << 30, 0, 1 << 20, 1 << 29), "larger than allowed", "LIMIT", options=("--max-bytes=10000",))

    def pieces(count, apart):
        """A sparse file of single bytes."""
        numbers = "".join(f"{i * apart}\n1\n" for i in range(count))
        table = f"{count}\n{numbers}".encode()
        table += bytes(-len(table) % 512)
        told = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": str(count * apart)}
        return tar(file("GNUSparseFile.0/s", table + b"x" * count, pax_headers=told))

    # The bytes alone would be 500, and on disk 4096 times as many.
    refused("a sparse file whose single bytes take blocks", pieces(500, 4096), "larger than allowed", "LIMIT", options=("--max-bytes=1000000",))
    accepted("single bytes in few blocks", pieces(500, 16), lambda got: check(got.read("s").count(b"x") == 500, "content"), options=("--max-bytes=2048000",))

    def zeros(got):
        content = got.read("z")
        check(len(content) == 3 << 20 and content.count(b"x") == 2 and content[1 << 20 : (1 << 20) + 1] == b"x" and content[-1:] == b"x", "content")
        check(got.stat("z").st_blocks * 512 < 2 << 20, f"holes: {got.stat('z').st_blocks}")

    written = bytes(1 << 20) + b"x" + bytes((2 << 20) - 2) + b"x"
    accepted("holes written as zeros", tar(file("z", written)), zeros)
    accepted("a file of zeros", tar(file("z", bytes(1 << 20))), lambda got: check(got.read("z") == bytes(1 << 20) and got.stat("z").st_blocks * 512 < 1 << 18, "nearly one hole"))


def streams():
    layer = tar(directory("d"), *[file(f"d/{i}", os.urandom(3000)) for i in range(200)])
    digest = lambda data: "sha256:" + hashlib.sha256(data).hexdigest()
    zipped = gzip.compress(layer[:100_000]) + gzip.compress(layer[100_000:])
    zstd = subprocess.run(["zstd", "-q", "-c"], input=layer, stdout=subprocess.PIPE, check=True).stdout

    def digests(data):
        return lambda got: check((got.result["compressed"], got.result["diffId"], got.result["streamBytes"]) == (digest(data), digest(layer), len(data)), "digests")

    for name, data in (("plain", layer), ("gzip in two members", zipped), ("zstd", zstd)):
        accepted(f"{name}", data, digests(data))
        accepted(f"{name}, in small pieces", data, digests(data), piece=1000)
        accepted(f"{name}, as expected", data, options=(f"--expect-compressed={digest(data)}", f"--expect-diff-id={digest(layer)}"))
        refused(f"{name}, not as expected", data, "not sha256:000", "DIGEST", options=("--expect-diff-id=sha256:" + "0" * 64,))
        refused(f"{name}, other bytes than expected", data, "not sha256:000", "DIGEST", options=("--expect-compressed=sha256:" + "0" * 64,))
        refused(f"{name}, cut short", data[: len(data) // 2], "truncated" if data is not layer else "")
        if data is not layer:
            refused(f"{name}, with garbage behind", data + b"garbage" * 100, "garbage after the end of the")
    def ignored(count, *names):
        return lambda got: check(got.result["ignored"] == count and os.listdir(got.root) == list(names), f"{count} ignored: {got.result['ignored']}")

    accepted("garbage behind the tar, compressed", gzip.compress(tar(file("a")) + b"hidden"), ignored(6, "a"))
    accepted("garbage right behind the end marks", tar(file("a"))[:2048] + b"\1" * 512, ignored(512, "a"))
    two = tar(file("b"))
    accepted("two tars, of which the first counts", tar(file("a")) + two, ignored(len(two), "a"))
    accepted("two tars, in gzip members of their own", gzip.compress(tar(file("a"))) + gzip.compress(two), ignored(len(two), "a"))
    accepted("garbage far behind the tar", tar(file("a")) + bytes(1 << 20) + b"x" * 1000 + bytes(300_000), ignored(301_000, "a"))
    accepted("zeros behind the tar", layer + bytes(1 << 20), lambda got: check(got.result["ignored"] == 0, "nothing ignored"))
    for algorithm in ("sha384", "sha512"):
        large = lambda data: f"{algorithm}:" + hashlib.new(algorithm, data).hexdigest()
        for data in (layer, zipped):
            both = (f"--expect-compressed={large(data)}", f"--expect-diff-id={large(layer)}")
            accepted(f"{algorithm}", data, lambda got: check((got.result["compressed"], got.result["diffId"]) == (large(data), large(layer)), "digests"), options=both)
            mixed = (f"--expect-compressed={large(data)}", f"--expect-diff-id={digest(layer)}")
            accepted(f"{algorithm} of the packed bytes alone", data, lambda got: check((got.result["compressed"], got.result["diffId"]) == (large(data), digest(layer)), "digests"), options=mixed)
            refused(f"{algorithm}, not as expected", data, "not " + algorithm, "DIGEST", options=(f"--expect-compressed={algorithm}:" + "0" * len(large(b"").split(":")[1]),))
    accepted("a tar without end marks", tar(file("a"))[:1024], lambda got: check(got.read("a") == b"x", "there"))
    accepted("nothing at all", b"", lambda got: check(got.result["inodes"] == 0, "empty"))
    accepted("an empty tar", bytes(1024))
    refused("no tar", b"hello world, this is no tar\n" * 100, "")
    refused("a flipped bit in a header", layer[:100] + bytes([layer[100] ^ 1]) + layer[101:], "")
    refused("bzip2", b"BZh91AY&SY", "bzip2")
    many = 9 << 20
    accepted("progress is told", tar(file("big", bytes(many))), lambda got: check([line.get("progress", 0) for line in got.lines[:-1]] != [] and all("progress" in line for line in got.lines[:-1]), "lines"))


def limits():
    refused("too many entries", tar(*[file(str(i)) for i in range(11)]), "too many entries, more than 10", "LIMIT", options=("--max-entries=10",))
    refused("too many bytes", tar(file("a", bytes(600)), file("b", bytes(600))), "larger than allowed", "LIMIT", name="b", options=("--max-bytes=1000",))
    with Jail() as jail:
        named = jail.unpack(tar(file("a", bytes(600))), "--max-bytes=500").result
        check(named.get("limit") == "max-bytes", f"the option is named: {named}")
    huge = entry("huge")
    huge[0].size = 1 << 50
    header = huge[0].tobuf(tarfile.GNU_FORMAT)
    refused("a size that is a lie", header + bytes(512), "larger than allowed", "LIMIT", name="huge")
    refused("a negative size", bytes(header[:124]) + b"\xff" * 12 + bytes(header[136:]), "")
    refused("a bomb", gzip.compress(bytes(64 << 20)), "larger than allowed", "LIMIT", options=("--max-bytes=1000000", "--max-entries=10"))
    hiding = [e for i in range(65_537) for e in ((f"d{i}", tarfile.DIRTYPE, ""), (f".wh.d{i}", tarfile.REGTYPE, ""))]
    refused("too many opaque directories", many(*hiding), "hide what is below", "LIMIT", where=MEMORY)
    refused("too many implied directories", many(*[(f"d{i}/f", tarfile.REGTYPE, "") for i in range(65_537)]), "no entry of their own", "LIMIT", where=MEMORY)
    refused("too deep", tar(file("d/" * 1100 + "f")), "too many parts", "LIMIT")
    refused("too long", tar(file("/".join(["d" * 200] * 20))), "too long", "LIMIT")
    refused("a part too long", tar(file("d" * 256)), "longer than 255")
    info, data = file("x")
    info.pax_headers = {"comment": "c" * (4 << 20)}
    refused("a pax header of megabytes", tar((info, data)), "")
    refused("a symlink to a novel", tar(symlink("x", "a" * 5000)), "")


def confinement():
    """Looks at an unpacker that waits for the rest of its layer."""
    print("what an unpacker may do")
    with Jail() as jail:
        destination = os.open(jail.root, os.O_RDONLY | os.O_DIRECTORY)
        null = os.open("/dev/null", os.O_WRONLY)

        def set_fds():
            result, target = os.dup2(null, 100), os.dup2(destination, 101)
            os.dup2(result, 3)
            os.dup2(target, 4)

        child = subprocess.Popen([UNPACK], stdin=subprocess.PIPE, preexec_fn=set_fds, close_fds=False)
        os.write(child.stdin.fileno(), tar(file("a"))[:1024])
        proc = f"/proc/{child.pid}"
        while open(f"{proc}/status").read().count("Seccomp:\t2") == 0 or len(os.listdir(f"{proc}/task")) < 2:
            pass
        # CHOWN DAC_OVERRIDE FOWNER FSETID SYS_ADMIN MKNOD SETFCAP
        allowed = sum(1 << bit for bit in (0, 1, 3, 4, 21, 27, 31))
        for task in os.listdir(f"{proc}/task"):
            status = dict(line.split(":\t", 1) for line in open(f"{proc}/task/{task}/status").read().splitlines())
            for name in ("CapEff", "CapPrm", "CapBnd"):
                check(int(status[name], 16) == allowed, f"{name} of {task}: {status[name]}")
            check(int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0, "nothing to inherit")
            check(status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1", "filtered, no new privileges")
            check(status["Groups"].strip() == "", "no groups")
        check(os.stat(f"{proc}/root").st_ino == os.stat(jail.root).st_ino, "its root is the destination")
        check(os.readlink(f"{proc}/ns/net") != os.readlink("/proc/self/ns/net"), "a network of its own")
        check(os.stat(f"{proc}/fd/0").st_uid == 0 and sorted(map(int, os.listdir(f"{proc}/fd")))[:4] == [0, 1, 2, 3], "descriptors")
        outside = [fd for fd in os.listdir(f"{proc}/fd") if os.path.isdir(f"{proc}/fd/{fd}") and os.stat(f"{proc}/fd/{fd}").st_ino != os.stat(jail.root).st_ino]
        check(outside == [], f"no directory outside the root is open: {outside}")
        child.stdin.close()
        check(child.wait() == 0, "goes on and ends well")
        os.close(destination)
        os.close(null)


def linear():
    """Twice the entries may take hardly more than twice the processor's time."""

    def processor_time():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def seconds(make, count):
        data = make(count)
        with Jail(MEMORY) as jail:
            began = processor_time()
            got = jail.unpack(data)
            check(got.result is not None and got.result.get("ok") is True, f"accepted: {got.result}")
            return processor_time() - began

    def links(count):
        def each(i):
            kind, target = (tarfile.LNKTYPE, f"f{i - i % 50_000}") if i % 50_000 else (tarfile.REGTYPE, "")
            return f"{'l' if target else 'f'}{i}", kind, target

        return many(*[each(i) for i in range(count)])

    def whiteouts_of_files(count):
        return many(*[(f"{hides}f{i}", tarfile.REGTYPE, "") for i in range(count // 2) for hides in (".wh.", "")])

    def replaced_trees(count):
        def three(i):
            return (f"t/s{i}", tarfile.DIRTYPE, ""), (f"t/s{i}/f", tarfile.REGTYPE, ""), (f"t/f{i}", tarfile.REGTYPE, "")

        return many(*[e for i in range(count // 4) for e in three(i)], ("t", tarfile.REGTYPE, ""))

    base = 500_000 if LONG else 20_000
    for make in (links, whiteouts_of_files, replaced_trees):
        once, twice = seconds(make, base), seconds(make, 2 * base)
        print(f"{make.__name__}: {base} in {once:.2f} s, {2 * base} in {twice:.2f} s")
        check(twice < 3 * once + 0.2, f"{make.__name__} is linear")


if os.geteuid() != 0:
    print("SKIPPED: unpacking needs root")
    sys.exit(77)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for part in (ways_out, disguises, whiteouts, fidelity, streams, limits, confinement, linear):
    part()
print(f"{failures} failures")
sys.exit(1 if failures else 0)

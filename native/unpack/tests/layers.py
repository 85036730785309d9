"""Tars as layers, made entry by entry: honest ones, and ones that no program would write."""
import io
import tarfile


def entry(name, kind=tarfile.REGTYPE, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def file(name, data=b"x", **fields):
    return entry(name, data=data, **fields)


def directory(name, **fields):
    return entry(name, tarfile.DIRTYPE, **fields)


def symlink(name, target):
    return entry(name, tarfile.SYMTYPE, linkname=target)


def link(name, target):
    return entry(name, tarfile.LNKTYPE, linkname=target)


def device(name, major, minor, kind=tarfile.CHRTYPE):
    return entry(name, kind, devmajor=major, devminor=minor)


def tar(*entries, form=tarfile.PAX_FORMAT, end=True):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
        if not end:
            return out.getvalue()
    return out.getvalue()


BLANKS = {}


def many(*entries):
    """A tar of entries that are a name alone and differ in nothing but that and the type: tarfile takes ten times as long."""
    out = io.BytesIO()
    for name, kind, target in entries:
        blank = BLANKS.get((kind, target))
        if blank is None:
            header = entry("", kind, linkname=target)[0].tobuf(tarfile.USTAR_FORMAT)
            before, behind = header[100:148], header[156:]
            blank = BLANKS[kind, target] = before, behind, sum(before) + 8 * ord(" ") + sum(behind)
        before, behind, checksum = blank
        encoded = name.encode()
        out.write(encoded.ljust(100, b"\0") + before + b"%06o\0 " % (checksum + sum(encoded)) + behind)
    out.write(bytes(1024))
    return out.getvalue()


def xattrs(name, **values):
    info, data = file(name)
    info.pax_headers = {"SCHILY.xattr." + key.replace("__", "."): value for key, value in values.items()}
    return info, data

// How each kind of entry becomes a file. Nothing here follows a symlink: the parent is an open directory, the last part
// is made with O_EXCL or its like, and what had the name before is removed first.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack/extract.h"

namespace berth::unpack {
namespace {

constexpr mode_t kSpecialBits = 07000;
constexpr uint64_t kBlock = 4096;
// Zeros that are left out; shorter ones are not worth a look.
constexpr size_t kHole = 64 * 1024;
constexpr uint64_t kMaxLaterBytes = uint64_t{256} << 20;

bool same_file(int directory, const char* name, const struct stat& other) {
  struct stat status;
  return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_dev == other.st_dev &&
         status.st_ino == other.st_ino;
}

bool write_at(int fd, const void* data, size_t size, off_t offset, Failure* failure) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = pwrite(fd, at, size, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure->set_errno("write the file");
    at += n;
    size -= static_cast<size_t>(n);
    offset += n;
  }
  return true;
}

// What a piece of a sparse file takes: whole blocks, also for a single byte. The block that it begins in is counted
// already when it goes on where the one before it ended.
uint64_t blocks_of(uint64_t offset, uint64_t length, bool goes_on) {
  if (length == 0) return 0;
  const uint64_t first = (goes_on ? offset + kBlock - 1 : offset) / kBlock;
  return ((offset + length + kBlock - 1) / kBlock - first) * kBlock;
}

std::string path_of(const EntryName& name) {
  return name.parent.empty() ? name.base : name.parent + '/' + name.base;
}

}  // namespace

bool Extractor::make_way(int parent, const EntryName& name, Failure* failure) {
  if (errno != EEXIST) return failure->set_errno("make the entry");
  return tree_->remove(parent, name.base.c_str(), failure);
}

bool Extractor::place_directory(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                                Failure* failure) {
  const std::string path = name.kind == NameKind::kRoot ? "" : path_of(name);
  const char* base = path.empty() ? "." : name.base.c_str();
  bool hides = false;
  if (!path.empty() && mkdirat(parent, base, 0700) != 0) {
    struct stat status;
    if (errno != EEXIST || fstatat(parent, base, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return failure->set_errno("make the directory");
    }
    if (!S_ISDIR(status.st_mode)) {
      // `.wh.x` and x/ in one layer: what is below is hidden, and a new directory stands there.
      hides = is_whiteout(status);
      if (!tree_->remove(parent, base, failure)) return false;
      if (mkdirat(parent, base, 0700) != 0) return failure->set_errno("make the directory");
      tree_->count_made();
    }
  } else if (!path.empty()) {
    tree_->count_made();
  }
  const Fd directory = open_directory(parent, base);
  if (!directory) return failure->set_errno("open the directory");
  if (fchown(directory.get(), attributes.uid, attributes.gid) != 0) return failure->set_errno("set the owner");
  if (fchmod(directory.get(), attributes.mode) != 0) return failure->set_errno("set the mode");
  if (!set_xattrs(entry, directory.get(), failure)) return false;
  if (hides) {
    if (!set_opaque(directory.get(), failure)) return false;
    tree_->mark_opaque(path);
  }
  tree_->declare(path);
  later_bytes_ += path.size() + sizeof(LaterTime);
  if (later_bytes_ > kMaxLaterBytes) return failure->set(Code::kLimit, "the layer has too many directories");
  later_.push_back({path, {attributes.times[0], attributes.times[1]}});
  return true;
}

bool Extractor::place_file(archive* reader, archive_entry* entry, const EntryName& name, int parent,
                           const Attributes& attributes, Failure* failure) {
  const int64_t size = archive_entry_size(entry);
  if (size < 0) return failure->set(Code::kInvalid, "a file of negative size");
  // A sparse file may be seen with exabytes: what counts is what it has.
  if (archive_entry_sparse_count(entry) == 0 && static_cast<uint64_t>(size) > options_.max_bytes - data_bytes_) {
    return failure->set_limit("max-bytes", "the files of the layer are larger than allowed");
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const mode_t mode = attributes.mode & 0777;
  Fd file(openat(parent, name.base.c_str(), kFlags, mode));
  if (!file) {
    if (!make_way(parent, name, failure)) return false;
    file.reset(openat(parent, name.base.c_str(), kFlags, mode));
    if (!file) return failure->set_errno("make the file");
  }
  tree_->count_made();
  if (!write_data(reader, entry, file.get(), static_cast<uint64_t>(size), failure)) return false;
  // Owner first: chown takes setuid bits and capabilities away.
  if (fchown(file.get(), attributes.uid, attributes.gid) != 0) return failure->set_errno("set the owner");
  if ((attributes.mode & kSpecialBits) != 0 && fchmod(file.get(), attributes.mode) != 0) {
    return failure->set_errno("set the mode");
  }
  if (!set_xattrs(entry, file.get(), failure)) return false;
  if (futimens(file.get(), attributes.times) != 0) return failure->set_errno("set the time");
  return true;
}

bool Extractor::count_data(uint64_t bytes, Failure* failure) {
  if (bytes > options_.max_bytes - data_bytes_) {
    return failure->set_limit("max-bytes", "the files of the layer are larger than allowed");
  }
  data_bytes_ += bytes;
  return true;
}

bool Extractor::write_data(archive* reader, archive_entry* entry, int fd, uint64_t size, Failure* failure) {
  const bool sparse = archive_entry_sparse_count(entry) > 0;
  uint64_t written = 0;
  uint64_t end = 0;
  uint64_t last = 0;
  while (true) {
    const void* data = nullptr;
    size_t length = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader, &data, &length, &offset);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK) {
      const char* text = archive_error_string(reader);
      return failure->set(Code::kInvalid, text ? text : "the data of the file cannot be read");
    }
    if (offset < 0 || static_cast<uint64_t>(offset) > size || length > size - static_cast<uint64_t>(offset)) {
      return failure->set(Code::kInvalid, "the file has more data than its size says");
    }
    const uint64_t from = static_cast<uint64_t>(offset);
    if (!count_data(sparse ? blocks_of(from, length, from == last) : length, failure)) return false;
    last = from + length;
    // Most writers of layers know no holes and write them as zeros.
    if (length < kHole || !all_zeros(static_cast<const uint8_t*>(data), length)) {
      if (!write_at(fd, data, length, offset, failure)) return false;
      written += length;
      end = last;
    }
  }
  if (end < size && ftruncate(fd, static_cast<off_t>(size)) != 0) return failure->set_errno("set the size");
  if (!sparse) {
    disk_bytes_ += (written + kBlock - 1) / kBlock * kBlock;
    return true;
  }
  // Each of its pieces takes blocks of its own.
  struct stat status;
  if (fstat(fd, &status) != 0) return failure->set_errno("look at the file");
  disk_bytes_ += static_cast<uint64_t>(status.st_blocks) * 512;
  return true;
}

bool Extractor::place_link(archive_entry* entry, const EntryName& name, int parent, Failure* failure) {
  const char* raw = archive_entry_hardlink(entry);
  EntryName target;
  if (!parse_entry_name(raw, options_.names, &target, failure)) {
    failure->message = "the target of a hard link is not allowed: " + failure->message;
    return false;
  }
  if (target.kind != NameKind::kPlain) return failure->set(Code::kInvalid, "a hard link to what is not a file");
  DirectoryRef from;
  if (!tree_->open_existing(target.parent, &from, failure)) return false;
  struct stat status;
  if (from.fd < 0 || fstatat(from.fd, target.base.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return failure->set(Code::kInvalid, "the target of a hard link is not in this layer");
  }
  if (S_ISDIR(status.st_mode)) return failure->set(Code::kInvalid, "a hard link to a directory");
  if (linkat(from.fd, target.base.c_str(), parent, name.base.c_str(), 0) != 0) {
    // Linked already, perhaps to itself: done.
    if (errno == EEXIST && same_file(parent, name.base.c_str(), status)) return true;
    if (!make_way(parent, name, failure)) return false;
    if (linkat(from.fd, target.base.c_str(), parent, name.base.c_str(), 0) != 0) {
      return failure->set_errno("make the hard link");
    }
  }
  return true;
}

bool Extractor::place_symlink(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                              Failure* failure) {
  const char* target = archive_entry_symlink(entry);
  if (!target || *target == '\0') return failure->set(Code::kInvalid, "a symlink without a target");
  const char* base = name.base.c_str();
  if (symlinkat(target, parent, base) != 0) {
    if (!make_way(parent, name, failure)) return false;
    if (symlinkat(target, parent, base) != 0) return failure->set_errno("make the symlink");
  }
  tree_->count_made();
  if (fchownat(parent, base, attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return failure->set_errno("set the owner");
  }
  if (utimensat(parent, base, attributes.times, AT_SYMLINK_NOFOLLOW) != 0) return failure->set_errno("set the time");
  return true;
}

bool Extractor::place_device(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                             Failure* failure) {
  const mode_t type = archive_entry_filetype(entry);
  const dev_t device = type == AE_IFIFO ? 0 : archive_entry_rdev(entry);
  // A character device 0:0 is the kernel's own form of a whiteout, and hides what is below like the other: tars of a
  // writable layer have it. Nothing of it is seen.
  const char* base = name.base.c_str();
  const mode_t mode = type | (attributes.mode & 0777);
  if (mknodat(parent, base, mode, device) != 0) {
    if (!make_way(parent, name, failure)) return false;
    if (mknodat(parent, base, mode, device) != 0) return failure->set_errno("make the device");
  }
  tree_->count_made();
  if (fchownat(parent, base, attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return failure->set_errno("set the owner");
  }
  // Not a symlink: it was made above with that name.
  if ((attributes.mode & kSpecialBits) != 0 && fchmodat(parent, base, attributes.mode, 0) != 0) {
    return failure->set_errno("set the mode");
  }
  if (utimensat(parent, base, attributes.times, AT_SYMLINK_NOFOLLOW) != 0) return failure->set_errno("set the time");
  return true;
}

// A whiteout hides what lower layers have, never what this layer brings, whichever comes first in the archive.
bool Extractor::place_whiteout(const EntryName& name, Failure* failure) {
  DirectoryRef parent;
  if (!tree_->open_or_make(name.parent, &parent, failure)) return false;
  const char* base = name.base.c_str();
  if (mknodat(parent.fd, base, S_IFCHR, makedev(0, 0)) == 0) {
    tree_->count_made();
    return true;
  }
  struct stat status;
  if (errno != EEXIST || fstatat(parent.fd, base, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return failure->set_errno("make the whiteout");
  }
  if (!S_ISDIR(status.st_mode)) return true;
  const Fd directory = open_directory(parent.fd, base);
  if (!directory) return failure->set_errno("open the directory");
  tree_->mark_opaque(path_of(name));
  return set_opaque(directory.get(), failure);
}

bool Extractor::place_opaque(const EntryName& name, Failure* failure) {
  DirectoryRef parent;
  if (!tree_->open_or_make(name.parent, &parent, failure)) return false;
  const Fd directory = open_directory(parent.fd, ".");
  if (!directory) return failure->set_errno("open the directory");
  tree_->mark_opaque(name.parent);
  return set_opaque(directory.get(), failure);
}

bool set_xattrs(archive_entry* entry, int fd, Failure* failure) {
  if (archive_entry_xattr_reset(entry) == 0) return true;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (!name || !is_allowed_xattr(name)) continue;
    if (fsetxattr(fd, name, value, size, 0) != 0 && errno != ENOTSUP) {
      return failure->set_errno(std::string("set the attribute ") + name);
    }
  }
  return true;
}

}  // namespace berth::unpack

#include "shim/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "shim/kernel.h"

namespace berth {
namespace {

constexpr int kMaxRaces = 64;    // how often the kernel may say that the tree changed while it walked
constexpr int kMaxMissing = 64;  // directories to be made
constexpr int kMaxDangling = 8;  // symlinks to what is not there yet

Fd open_resolved(int root, const char* path, uint64_t flags, uint64_t resolve) {
  for (int i = 0; i < kMaxRaces; i++) {
    Fd fd = kernel::open_how(root, path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);
    if (fd || errno != EAGAIN) return fd;
  }
  return Fd();
}

// Opens `path` with whatever it leads through; when something is missing, `deepest` is the last directory that is there
// and `missing` the first name that is not.
struct Step {
  Fd deepest;
  std::string_view missing;
  std::string_view rest;
};

std::string_view next_name(std::string_view& rest) {
  while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
  size_t size = 0;
  while (size < rest.size() && rest[size] != '/') size++;
  const std::string_view name(rest.data(), size);
  rest.remove_prefix(size);
  return name;
}

// Walks to the first name that is not there. RESOLVE_IN_ROOT keeps every prefix inside, symlinks included.
bool walk(int root, std::string_view path, Step& step) {
  step.deepest = open_resolved(root, ".", O_PATH | O_DIRECTORY, 0);
  std::string_view rest = path;
  while (step.deepest) {
    const std::string_view name = next_name(rest);
    if (name.empty()) return true;
    const Path prefix({path.data(), static_cast<size_t>(name.data() + name.size() - path.data())});
    Fd next = open_resolved(root, prefix.c_str(), O_PATH, 0);
    if (!next) {
      if (errno != ENOENT) return false;
      step.missing = name;
      step.rest = rest;
      return true;
    }
    step.deepest = std::move(next);
  }
  return false;
}

bool last_name(std::string_view rest) {
  return next_name(rest).empty();
}

// Makes one missing name in `dir`. A name that is there and yet leads nowhere is a symlink: `target` gets what it says.
enum class Made { kYes, kSymlink, kNo };
Made make_name(int dir, std::string_view name, Kind kind, Path& target) {
  const Path text(name);
  const int made = kind == Kind::kDirectory
                       ? mkdirat(dir, text.c_str(), 0755)
                       : openat(dir, text.c_str(), O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (kind == Kind::kFile && made >= 0) close(made);
  if (made >= 0) return Made::kYes;
  if (errno != EEXIST) return Made::kNo;
  char link[1024];
  const ssize_t size = readlinkat(dir, text.c_str(), link, sizeof link);
  if (size <= 0 || size == sizeof link) {
    errno = EEXIST;
    return Made::kNo;
  }
  target.clear();
  target.add({link, static_cast<size_t>(size)});
  return Made::kSymlink;
}

bool has_dots(std::string_view path) {
  while (!path.empty()) {
    if (next_name(path) == "..") return true;
  }
  return false;
}

}  // namespace

Fd open_in_root(int root, std::string_view path) {
  const Path text(path);
  if (text.cut()) {
    errno = ENAMETOOLONG;
    return Fd();
  }
  return open_resolved(root, text.c_str(), O_PATH, 0);
}

Fd open_in_root_plainly(int root, std::string_view path) {
  return open_resolved(root, Path(path).c_str(), O_PATH, RESOLVE_NO_SYMLINKS);
}

Place place_of(int fd) {
  struct statx about;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &about) != 0) return Place();
  return {.mount = about.stx_mnt_id, .inode = about.stx_ino};
}

Fd make_in_root(int root, std::string_view wanted, Kind kind, Fault& fault, const OwnMounts* own) {
  Fd there = open_in_root(root, wanted);
  if (there) return there;
  if (errno == ENOENT && has_dots(wanted)) {
    fault.refuse(FaultKind::kRequest, "mount", wanted, "it has .. and does not exist");
    return Fd();
  }
  if (errno != ENOENT) {
    fault.kernel("mount", wanted, errno);
    return Fd();
  }
  Path path(wanted);
  int dangling = 0;
  for (int i = 0; i < kMaxMissing; i++) {
    Step step;
    if (!walk(root, path.view(), step)) break;
    if (step.missing.empty()) return open_in_root(root, path.view());
    if (own != nullptr && !own->has(place_of(step.deepest.get()))) {
      errno = EXDEV;
      return Fd();
    }
    const bool last = last_name(step.rest);
    Path target;
    const Made made = make_name(step.deepest.get(), step.missing, last ? kind : Kind::kDirectory, target);
    if (made == Made::kNo) break;
    if (made == Made::kYes) continue;
    // The same path with the symlink replaced by what it says, inside the root.
    if (++dangling > kMaxDangling || has_dots(target.view())) {
      errno = ELOOP;
      break;
    }
    Path expanded;
    if (target.view().front() != '/') {
      expanded.add({path.c_str(), static_cast<size_t>(step.missing.data() - path.c_str())});
    }
    expanded.add(target.view()).add(step.rest);
    if (expanded.cut()) {
      errno = ENAMETOOLONG;
      break;
    }
    path = expanded;
  }
  fault.kernel("mkdir", wanted, errno);
  return Fd();
}

long filesystem_of(int fd) {
  struct statfs about;
  return fstatfs(fd, &about) == 0 ? static_cast<long>(about.f_type) : 0;
}

}  // namespace berth

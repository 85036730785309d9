#include "shim/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <utility>

#include "shim/kernel.h"

namespace berth {
namespace {

constexpr int kMaxRaces = 64;    // how often the kernel may say that the tree changed while it walked
constexpr int kMaxRounds = 256;  // names to be made for one path, and links followed to them
constexpr int kMaxLinks = 40;    // symlinks to what is not there yet: as many as the kernel follows in one path

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

// What a symlink that leads nowhere says; empty for anything else.
void read_link(int dir, std::string_view name, Path& target) {
  char link[4096];
  const ssize_t size = readlinkat(dir, Path(name).c_str(), link, sizeof link);
  target.clear();
  if (size > 0) target.add({link, static_cast<size_t>(size)});
}

bool make_name(int dir, std::string_view name, Kind kind) {
  const Path text(name);
  if (kind == Kind::kDirectory) return mkdirat(dir, text.c_str(), 0755) == 0;
  return static_cast<bool>(Fd(openat(dir, text.c_str(), O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644)));
}

bool has_dots(std::string_view path) {
  while (!path.empty()) {
    if (next_name(path) == "..") return true;
  }
  return false;
}

// Nothing below a name that is missing can be a link: `..` there takes back the name before it. One that goes above the
// missing name is left, for the kernel to take where the walk was.
void take_back_dots(const Step& step, Path& path) {
  Path plain({path.c_str(), static_cast<size_t>(step.missing.data() - path.c_str())});
  const size_t there = plain.size();
  std::string_view rest(step.missing.data(), path.size() - there);
  for (std::string_view name; !(name = next_name(rest)).empty();) {
    size_t last = plain.size();
    while (last > there && plain.view()[last - 1] != '/') last--;
    const bool takes_back = name == ".." && plain.size() > there && slice(plain.view(), last) != "..";
    if (takes_back) {
      plain.shorten(last > there ? last - 1 : there);
    } else {
      if (plain.size() > there) plain.add("/");
      plain.add(name);
    }
  }
  path = plain;
}

// The same path with the symlink in it replaced by what that says, inside the root.
bool replace_link(const Step& step, std::string_view target, Path& path) {
  Path expanded;
  if (target.front() != '/') expanded.add({path.c_str(), static_cast<size_t>(step.missing.data() - path.c_str())});
  expanded.add(target).add(step.rest);
  if (expanded.cut()) return false;
  path = expanded;
  return true;
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
  const auto failed = [&](std::string_view step, int error) { return fault.kernel(step, wanted, error), Fd(); };
  Fd there = open_in_root(root, wanted);
  if (there) return there;
  if (errno != ENOENT) return failed("mount", errno);
  Path path(wanted);
  bool taken = false;
  for (int round = 0, links = 0; round < kMaxRounds; round++) {
    Step step;
    if (!walk(root, path.view(), step)) return failed("mkdir", errno);
    if (step.missing.empty()) {
      there = open_in_root(root, path.view());
      return there ? std::move(there) : failed("mount", errno);
    }
    Path target;
    read_link(step.deepest.get(), step.missing, target);
    if (!target.empty()) {
      if (++links > kMaxLinks) return failed("mkdir", ELOOP);
      if (!replace_link(step, target.view(), path)) return failed("mkdir", ENAMETOOLONG);
      continue;
    }
    if (has_dots(step.rest)) {
      take_back_dots(step, path);
      continue;
    }
    if (own != nullptr && !own->has(place_of(step.deepest.get()))) return errno = EXDEV, Fd();
    const Kind made = last_name(step.rest) ? kind : Kind::kDirectory;
    const bool done = make_name(step.deepest.get(), step.missing, made);
    // Somebody else may have been faster: the next round sees what it is. What is there and cannot be opened, as
    // /proc/self for who is in another pid namespace, stays so.
    if (!done && (errno != EEXIST || taken)) return failed("mkdir", errno);
    taken = !done;
  }
  fault.limit("mkdir", wanted, kMaxRounds, "names to be made for one path");
  return Fd();
}

long filesystem_of(int fd) {
  struct statfs about;
  return fstatfs(fd, &about) == 0 ? static_cast<long>(about.f_type) : 0;
}

}  // namespace berth

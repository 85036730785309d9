#include "unpack/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "unpack/remove_tree.h"

namespace berth::unpack {
namespace {

constexpr int kMaxLinks = 40;

// Never leaves `root`, not even for a moment: EXDEV when the path would.
int open_beneath(int root, const char* path, uint64_t flags) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how));
}

void push_parts_front(std::deque<std::string>* todo, std::string_view path) {
  size_t end = path.size();
  while (end > 0) {
    const size_t slash = path.rfind('/', end - 1);
    const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (begin < end) todo->emplace_front(path.substr(begin, end - begin));
    if (slash == std::string_view::npos) return;
    end = slash;
  }
}

std::string join(const std::vector<std::string>& parts) {
  std::string path;
  for (const std::string& part : parts) {
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

}  // namespace

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

bool set_opaque(int directory, Failure* failure) {
  return fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) == 0 || failure->set_errno("make opaque");
}

Fd open_directory(int parent, const char* name) {
  return Fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool Tree::open_or_make(const std::string& path, DirectoryRef* directory, Failure* failure) {
  return open_cached(path, &for_entries_, Missing::kMake, directory, failure);
}

bool Tree::open_existing(const std::string& path, DirectoryRef* directory, Failure* failure) {
  return open_cached(path, &for_links_, Missing::kGiveUp, directory, failure);
}

bool Tree::open_cached(const std::string& path, Cached* cache, Missing missing, DirectoryRef* directory,
                       Failure* failure) {
  directory->fd = -1;
  if (path.empty()) {
    directory->fd = root_.get();
    return true;
  }
  if (!cache->fd || cache->stale || cache->path != path) {
    Fd fd(open_beneath(root_.get(), path.c_str(), O_PATH | O_DIRECTORY));
    if (!fd && !walk(path, missing, &fd, failure)) return false;
    if (!fd) return true;
    cache->fd = std::move(fd);
    cache->path = path;
    cache->stale = false;
  }
  directory->fd = cache->fd.get();
  return true;
}

// One part at a time, for the paths that the kernel alone cannot decide: something is missing, a whiteout is in the
// way, or a symlink of the layer is absolute.
bool Tree::walk(const std::string& path, Missing missing, Fd* found, Failure* failure) {
  std::deque<std::string> todo;
  push_parts_front(&todo, path);
  std::vector<Fd> directories;
  std::vector<std::string> real;
  const auto here = [&] { return directories.empty() ? root_.get() : directories.back().get(); };
  int links = 0;
  while (!todo.empty()) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      if (real.empty()) continue;
      real.pop_back();
      directories.pop_back();
      continue;
    }
    real.push_back(part);
    Fd fd(openat(here(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno == ENOENT) {
      if (missing == Missing::kGiveUp) return true;
      if (!make_implied(here(), part, join(real), failure)) return false;
      fd.reset(openat(here(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }
    struct stat status = {};
    if (!fd || fstat(fd.get(), &status) != 0) return failure->set_errno("open a directory on the way");
    if (is_whiteout(status) && missing == Missing::kMake) {
      if (!replace_whiteout(here(), part, join(real), failure)) return false;
      fd = open_directory(here(), part.c_str());
      if (!fd) return failure->set_errno("open a directory on the way");
    } else if (S_ISLNK(status.st_mode)) {
      if (++links > kMaxLinks) return failure->set(Code::kInvalid, "too many symlinks on the way");
      char target[PATH_MAX];
      const ssize_t n = readlinkat(fd.get(), "", target, sizeof target);
      if (n < 0) return failure->set_errno("read a symlink on the way");
      real.pop_back();
      if (n > 0 && target[0] == '/') {
        real.clear();
        directories.clear();
      }
      push_parts_front(&todo, {target, static_cast<size_t>(n)});
      continue;
    } else if (!S_ISDIR(status.st_mode)) {
      return failure->set(Code::kInvalid, "something on the way is not a directory");
    }
    directories.push_back(std::move(fd));
  }
  *found = directories.empty() ? Fd(fcntl(root_.get(), F_DUPFD_CLOEXEC, 0)) : std::move(directories.back());
  return true;
}

bool Tree::make_implied(int parent, const std::string& name, const std::string& path, Failure* failure) {
  if (mkdirat(parent, name.c_str(), 0755) != 0) return failure->set_errno("make a parent directory");
  inodes_++;
  implied_.insert(path);
  if (implied_.size() > kMaxListed)
    return failure->set(Code::kLimit, "too many directories have no entry of their own");
  return true;
}

// `.wh.x` came first, then x as a directory: the layer hides what is below and puts a new directory there.
bool Tree::replace_whiteout(int parent, const std::string& name, const std::string& path, Failure* failure) {
  if (unlinkat(parent, name.c_str(), 0) != 0) return failure->set_errno("replace a whiteout");
  inodes_--;
  if (!make_implied(parent, name, path, failure)) return false;
  const Fd directory = open_directory(parent, name.c_str());
  if (!directory) return failure->set_errno("open a directory on the way");
  mark_opaque(path);
  return set_opaque(directory.get(), failure);
}

bool Tree::remove(int directory, const char* name, Failure* failure) {
  // What goes may have been part of a remembered way.
  for_entries_.stale = true;
  for_links_.stale = true;
  uint64_t removed = 0;
  if (!remove_tree(directory, name, &removed)) return failure->set_errno("remove what had the name before");
  // More may go than was counted: the destination need not have been empty.
  inodes_ -= std::min(inodes_, removed);
  return true;
}

std::vector<std::string> Tree::still_directories(const std::set<std::string>& paths) const {
  std::vector<std::string> left;
  for (const std::string& path : paths) {
    if (path.empty() || Fd(open_beneath(root_.get(), path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW))) {
      left.push_back(path);
    }
  }
  return left;
}

}  // namespace berth::unpack

#include "addon/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "common/fd.h"
#include "common/io_priority.h"

namespace berth::addon {
namespace {

constexpr unsigned max_depth = 256;
// Quota type of <linux/quota.h>, which cannot be included beside <sys/quota.h>.
constexpr int project_quota = 2;
// Project ids of ours have this bit; the kubelet's begin at 1048577.
constexpr uint32_t our_projects = 0x80000000;

struct CloseDirectory {
  void operator()(DIR* directory) const { (void)closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// Appends the file's content, or leaves `out` as it was. `cut`: no more of it than the limit, and the rest is not read.
bool append_file(const char* path, size_t limit, bool cut, std::string& out) {
  const Fd fd(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return false;
  const size_t begin = out.size();
  for (;;) {
    char piece[4096];
    const ssize_t n = read(fd.get(), piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    const size_t left = limit - (out.size() - begin);
    const bool too_long = n > 0 && static_cast<size_t>(n) > left;
    if (n < 0 || (too_long && !cut)) {
      out.resize(begin);
      return false;
    }
    if (n == 0) return true;
    out.append(piece, too_long ? left : static_cast<size_t>(n));
    if (too_long) return true;
  }
}

void count(const struct stat& found, TreeUsage& usage) {
  const uint64_t links = S_ISDIR(found.st_mode) || found.st_nlink == 0 ? 1 : found.st_nlink;
  usage.bytes += static_cast<uint64_t>(found.st_blocks) * 512 / links;
  usage.inodes++;
}

// Takes over `fd`. Stops when `limit` inodes are counted.
void walk(Fd fd, unsigned depth, uint64_t limit, TreeUsage& usage) {
  const int here = fd.get();
  const Directory directory(fdopendir(here));
  if (!directory) {
    usage.complete = false;
    return;
  }
  (void)fd.release();
  while (const dirent* entry = readdir(directory.get())) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat found {};
    if (fstatat(here, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (usage.inodes >= limit) {
      usage.complete = false;
      return;
    }
    count(found, usage);
    if (!S_ISDIR(found.st_mode)) continue;
    Fd below(openat(here, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!below && errno == ENOENT) continue;
    if (!below || depth >= max_depth) {
      usage.complete = false;
      continue;
    }
    walk(std::move(below), depth + 1, limit, usage);
  }
}

void count_of(long pid, uint64_t limit, Descriptors& all) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const Directory directory(opendir(path.c_str()));
  // Gone since the list was read.
  if (!directory) return;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    if (all.open >= limit) return;
    all.open++;
    char target[16];
    const ssize_t n = readlinkat(dirfd(directory.get()), entry->d_name, target, sizeof target);
    if (n > 7 && memcmp(target, "socket:", 7) == 0) all.sockets++;
  }
}

Result<dqblk> books_of(int fd, uint32_t project) {
  dqblk books{};
  const long done = syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, project_quota), project, &books);
  if (done < 0) return fail("quotactl_fd");
  return books;
}

}  // namespace

std::vector<std::string> read_each(const std::vector<std::string>& directories, const std::vector<SharedFile>& files,
                                   size_t limit) {
  std::vector<std::string> texts;
  texts.reserve(directories.size());
  std::string path;
  for (const std::string& directory : directories) {
    std::string text;
    for (const SharedFile& file : files) {
      path.assign(file.before).append(directory).append(file.after);
      if (!append_file(path.c_str(), limit, file.cut, text)) text += '\1';
      text += '\0';
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<TreeUsage> tree_usage(const std::string& path, uint64_t limit) {
  Fd top(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return fail("open", path);
  TreeUsage usage;
  struct stat found {};
  if (fstat(top.get(), &found) < 0) return fail("fstat", path);
  count(found, usage);
  walk(std::move(top), 0, limit, usage);
  return usage;
}

Result<Descriptors> count_descriptors(const std::string& procs_file, uint64_t limit) {
  std::string text;
  if (!append_file(procs_file.c_str(), 1024 * 1024, false, text)) return fail_with(ENOENT, "read", procs_file);
  Descriptors all;
  const char* at = text.c_str();
  for (char* end = nullptr;; at = end) {
    const long pid = strtol(at, &end, 10);
    if (end == at || all.open >= limit) return all;
    if (pid > 0) count_of(pid, limit, all);
  }
}

int start_project(const std::string& directory) {
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found {};
  if (!fd || fstat(fd.get(), &found) < 0) return errno;
  // The inode's number: no two directories have the same at a time, and nothing has to be remembered.
  const uint32_t project = our_projects | static_cast<uint32_t>(found.st_ino & (our_projects - 1));
  Result<dqblk> books = books_of(fd.get(), project);
  // ENOENT: accounting is on, and nobody ever had the id.
  if (!books && books.failure().error != ENOENT) return books.failure().error;
  if (books && (books->dqb_curinodes != 0 || books->dqb_curspace != 0)) return EBUSY;
  fsxattr attributes{};
  if (ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) < 0) return errno;
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) < 0 ? errno : 0;
}

Result<TreeUsage> project_usage(const std::string& directory) {
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail("open", directory);
  fsxattr attributes{};
  if (ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) < 0) return fail("ioctl", directory);
  if ((attributes.fsx_projid & our_projects) == 0) return fail_with(ENODATA, "project", directory);
  Result<dqblk> books = books_of(fd.get(), attributes.fsx_projid);
  if (!books) return books.failure();
  TreeUsage usage;
  usage.bytes = books->dqb_curspace;
  usage.inodes = books->dqb_curinodes;
  return usage;
}

void become_idle() {
  // Both are this thread's alone on Linux.
  (void)setpriority(PRIO_PROCESS, 0, 19);
  (void)syscall(SYS_ioprio_set, BERTH_IOPRIO_WHO_PROCESS, 0, BERTH_IOPRIO_CLASS_IDLE << BERTH_IOPRIO_CLASS_SHIFT);
}

}  // namespace berth::addon

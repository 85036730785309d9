#include "addon/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "addon/failure.h"
#include "addon/usage.h"
#include "common/fd.h"
#include "common/group_name.h"
#include "common/process_list.h"

namespace berth::addon {
namespace {

FileOutcome write_file(const FileOperation& operation) {
  const Fd fd(open(operation.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return {errno, {}};
  // One write(2): the kernel's control files take a value whole or not at all.
  const ssize_t n = write(fd.get(), operation.data.data(), operation.data.size());
  if (n < 0) return {errno, {}};
  return {static_cast<size_t>(n) == operation.data.size() ? 0 : EIO, {}};
}

// A new file, or an old one with new content; never through a link.
FileOutcome create_file(const std::string& path, const std::string& data, mode_t mode) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode));
  if (!fd) return {errno, {}};
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = write(fd.get(), data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {errno, {}};
    done += static_cast<size_t>(n);
  }
  return {};
}

// Whoever waits behind us must not wait for the other end of a named pipe as well.
FileOutcome read_file(const std::string& path, size_t limit) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat found = {};
  if (!fd || fstat(fd.get(), &found) < 0) return {errno, {}};
  if (!S_ISREG(found.st_mode)) return {EINVAL, {}};
  FileOutcome outcome;
  size_t size = 0;
  for (;;) {
    // One byte more than allowed, so that a file of exactly the limit is told from a longer one.
    const size_t want = std::min<size_t>(limit + 1 - size, 65536);
    if (want == 0) return {EFBIG, {}};
    outcome.data.resize(size + want);
    const ssize_t n = read(fd.get(), outcome.data.data() + size, want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {errno, {}};
    size += static_cast<size_t>(n);
    outcome.data.resize(size);
    if (n == 0) return size > limit ? FileOutcome{EFBIG, {}} : outcome;
  }
}

FileOutcome copy_file(const FileOperation& operation) {
  const FileOutcome read = read_file(operation.path, operation.limit);
  if (read.error != 0) return {read.error, {}};
  return create_file(operation.to, read.data, operation.mode);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

constexpr int tree_depth = 32;

struct TreeRemoval {
  int top;      // the directory that goes
  size_t left;  // how many files this trip may take
};

// False when there is nothing to clear, or it cannot be cleared here.
bool let_change(int fd) {
  int flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0) return false;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

// Only a regular file or a directory has such flags, and to open anything else may do something.
bool let_go(int parent, const char* name) {
  const Fd found(openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status = {};
  if (!found || fstat(found.get(), &status) < 0) return false;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return false;
  const std::string same = "/proc/self/fd/" + std::to_string(found.get());
  const Fd file(open(same.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return file && let_change(file.get());
}

// A container may make what it writes immutable (CAP_LINUX_IMMUTABLE). The directory above the tree is ours.
int remove_entry(int parent, const char* name, int flags) {
  if (unlinkat(parent, name, flags) == 0) return 0;
  if (errno != EPERM) return errno;
  const bool above = parent != AT_FDCWD && let_change(parent);
  const bool itself = let_go(parent, name);
  if (!above && !itself) return EPERM;
  return unlinkat(parent, name, flags) == 0 ? 0 : errno;
}

// Trees can be deeper than a path is long, or than there are descriptors: what lies too deep is brought up and is then
// one of the top's own.
int bring_up(const TreeRemoval& removal, int parent, const char* name) {
  for (int tries = 0; tries < 100; tries++) {
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number) return EIO;
    const std::string place = ".berth-deep-" + std::to_string(number);
    if (renameat2(parent, name, removal.top, place.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EEXIST) return errno;
  }
  return EEXIST;
}

int remove_directory(TreeRemoval& removal, int parent, const char* name, int depth);

// E2BIG: there is more than one trip may take.
int empty_directory(TreeRemoval& removal, Fd fd, int depth) {
  const std::unique_ptr<DIR, CloseDirectory> directory(fdopendir(fd.get()));
  if (!directory) return errno;
  const int here = fd.release();
  if (depth == 0) removal.top = here;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) return errno;
    const std::string child = entry->d_name;
    if (child == "." || child == "..") continue;
    if (removal.left == 0) return E2BIG;
    removal.left--;
    int error = remove_entry(here, child.c_str(), 0);
    if (error == EISDIR) error = remove_directory(removal, here, child.c_str(), depth + 1);
    if (error != 0 && error != ENOENT) return error;
  }
}

int remove_directory(TreeRemoval& removal, int parent, const char* name, int depth) {
  const int refused = remove_entry(parent, name, AT_REMOVEDIR);
  if (refused != ENOTEMPTY && refused != EEXIST) return refused;
  if (depth == tree_depth) return bring_up(removal, parent, name);
  Fd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno;
  const int error = empty_directory(removal, std::move(fd), depth);
  if (error != 0) return error;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
  // What was brought up may have come behind the place where its list had been read.
  return depth == 0 && errno == ENOTEMPTY ? E2BIG : errno;
}

// Removes a directory and what is below it, following no link. Gives up with E2BIG when there are more than `limit`
// files, to be called again: all of a container's may take minutes, and whoever waits behind us must not.
int remove_tree(const char* path, size_t limit) {
  TreeRemoval removal = {.top = -1, .left = limit};
  return remove_directory(removal, AT_FDCWD, path, 0);
}

FileOutcome list_directories(const FileOperation& operation) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(operation.path.c_str()));
  if (!directory) return {errno, {}};
  FileOutcome outcome;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) return {errno, errno == 0 ? outcome.data : std::string()};
    const std::string name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    outcome.data += name + "\n";
    if (outcome.data.size() > operation.limit) return {EFBIG, {}};
  }
}

// In a frozen group a number stays whose it is. Else the process that has it now is held, and only then looked at.
FileOutcome kill_members(const FileOperation& operation) {
  const Fd group(open(operation.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ProcessList members;
  GroupName name;
  if (!group || !members.open(group.get())) return {errno, {}};
  if (operation.held && !name.of(operation.path.c_str())) return {errno != 0 ? errno : EINVAL, {}};
  for (pid_t pid; (pid = members.next()) > 0;) {
    if (pid == 1 || pid == getpid()) continue;  // never meant
    if (!operation.held) {
      (void)kill(pid, SIGKILL);
      continue;
    }
    const Fd held(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (held && name.holds(pid)) (void)syscall(SYS_pidfd_send_signal, held.get(), SIGKILL, nullptr, 0);
  }
  return {};
}

FileOutcome run(const FileOperation& operation) {
  using Kind = FileOperation::Kind;
  switch (operation.kind) {
    case Kind::make_directory:
      return {mkdir(operation.path.c_str(), operation.mode) < 0 ? errno : 0, {}};
    case Kind::remove_directory:
      return {rmdir(operation.path.c_str()) < 0 ? errno : 0, {}};
    case Kind::remove_tree:
      return {remove_tree(operation.path.c_str(), operation.limit), {}};
    case Kind::create:
      return create_file(operation.path, operation.data, operation.mode);
    case Kind::copy:
      return copy_file(operation);
    case Kind::write:
      return write_file(operation);
    case Kind::read:
      return read_file(operation.path, operation.limit);
    case Kind::list:
      return list_directories(operation);
    case Kind::kill:
      return kill_members(operation);
    case Kind::project:
      return {start_project(operation.path), {}};
  }
  return {EINVAL, {}};
}

bool tolerated(const FileOperation& operation, int error) {
  if (operation.any_optional) return true;
  const std::string name = errno_name(error);
  return std::find(operation.optional.begin(), operation.optional.end(), name) != operation.optional.end();
}

}  // namespace

std::vector<FileOutcome> run_batch(const std::vector<FileOperation>& operations) {
  std::vector<FileOutcome> outcomes;
  outcomes.reserve(operations.size());
  bool stopped = false;
  for (const FileOperation& operation : operations) {
    if (stopped) {
      outcomes.push_back({ECANCELED, {}});
      continue;
    }
    outcomes.push_back(run(operation));
    const int error = outcomes.back().error;
    stopped = error != 0 && !tolerated(operation, error);
  }
  return outcomes;
}

}  // namespace berth::addon

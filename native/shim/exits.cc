#include "shim/exits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shim/shim.h"

namespace berth {
namespace {

using ExitPath = Text<160>;

ExitPath path_of(std::string_view id, std::string_view suffix) {
  ExitPath path("exits/");
  path.add(id).add(suffix);
  return path;
}

// An encoded record: an id of at most 127 characters and five numbers.
constexpr size_t kRecordBytes = 256;
static_assert(berth_shim_ExitRecord_size <= kRecordBytes);

constexpr std::string_view kReserved = ".tmp";

// Without O_TRUNC, which would give the room away.
bool write_over(int pod_dir, const char* path, std::string_view bytes) {
  const Fd file(openat(pod_dir, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return file && pwrite(file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
         ftruncate(file.get(), static_cast<off_t>(bytes.size())) == 0;
}

}  // namespace

bool exits_open(Shim& shim) {
  return mkdirat(shim.pod_dir.get(), "exits", 0700) == 0 || errno == EEXIST;
}

bool exit_reserve(Shim& shim, std::string_view id) {
  const char zeros[kRecordBytes] = {};
  return write_over(shim.pod_dir.get(), path_of(id, kReserved).c_str(), {zeros, sizeof zeros});
}

void exit_release(Shim& shim, std::string_view id) {
  unlinkat(shim.pod_dir.get(), path_of(id, kReserved).c_str(), 0);
}

void exit_write(Shim& shim, const berth_shim_ExitRecord& record) {
  Encoded encoded;
  const ExitPath path = path_of(record.container_id, "");
  const ExitPath temporary = path_of(record.container_id, kReserved);
  const int dir = shim.pod_dir.get();
  if (!encoded.encode(0, berth_shim_ExitRecord_fields, &record) ||
      !write_over(dir, temporary.c_str(), encoded.view()) || renameat(dir, temporary.c_str(), dir, path.c_str()) != 0) {
    log_line(path.view(), errno);
  }
}

void exit_forget(Shim& shim, std::string_view id) {
  unlinkat(shim.pod_dir.get(), path_of(id, "").c_str(), 0);
}

uint32_t exit_code_of(int wait_status) {
  return static_cast<uint32_t>(WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
}

uint32_t exit_signal_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? static_cast<uint32_t>(WTERMSIG(wait_status)) : 0;
}

}  // namespace berth

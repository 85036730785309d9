#include "shim/log_pump/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"

namespace berth {
namespace {

// The kubelet makes the directories; this is for callers that do not.
void make_parents(const char* path) {
  Path prefix;
  for (const char* at = strchr(path + 1, '/'); at != nullptr; at = strchr(at + 1, '/')) {
    prefix.clear();
    prefix.add({path, static_cast<size_t>(at - path)});
    mkdir(prefix.c_str(), 0755);
  }
}

}  // namespace

int LogFile::open(const char* path) {
  // Not blocking while opening: a pipe in place of the file must not hold the pump. It has no meaning for a file.
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  Fd fd(::open(path, kFlags, 0640));
  if (!fd && errno == ENOENT) {
    make_parents(path);
    fd = Fd(::open(path, kFlags, 0640));
  }
  if (!fd) return errno;
  struct stat about;
  if (fstat(fd.get(), &about) != 0) return errno;
  if (!S_ISREG(about.st_mode)) return EINVAL;
  fd_ = std::move(fd);
  return 0;
}

uint64_t LogFile::write(std::string_view records) {
  size_t at = 0;
  while (at < records.size()) {
    const ssize_t n = ::write(fd_.get(), records.data() + at, records.size() - at);
    if (n > 0) {
      at += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      cut_to_record({records.data(), at});
      return records.size() - at;
    }
  }
  return 0;
}

void LogFile::cut_to_record(std::string_view written) {
  if (written.empty() || written.back() == '\n') return;
  const auto* newline = static_cast<const char*>(memrchr(written.data(), '\n', written.size()));
  const size_t whole = newline == nullptr ? 0 : static_cast<size_t>(newline - written.data()) + 1;
  struct stat about;
  if (fstat(fd_.get(), &about) != 0) return;
  const off_t end = about.st_size - static_cast<off_t>(written.size() - whole);
  // Nobody else writes to this file; where even cutting fails, a broken record stays and the next one begins after it.
  if (end >= 0 && ftruncate(fd_.get(), end) != 0) return;
}

}  // namespace berth

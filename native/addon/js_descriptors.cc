#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon/addon.h"
#include "addon/reader.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

Napi::Value give_fd(Napi::Env env, int fd, const char* call, const std::string& path) {
  return fd < 0 ? raise(env, fail(call, path)) : Napi::Number::New(env, fd);
}

Napi::Value close_fd(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  // EINTR means closed on Linux.
  if (close(fd) < 0 && errno != EINTR) return raise(info.Env(), fail("close"));
  return info.Env().Undefined();
}

Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return raise(info.Env(), fail("pipe2"));
  Napi::Object value = Napi::Object::New(info.Env());
  value.Set("read", Napi::Number::New(info.Env(), ends[0]));
  value.Set("write", Napi::Number::New(info.Env(), ends[1]));
  return value;
}

Napi::Value open_directory(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  if (!in.ok()) return in.refuse();
  const int fd = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  return give_fd(info.Env(), fd, "open", path);
}

Napi::Value open_path(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  const int flags = static_cast<int>(in.integer(info[1], "flags", 0, INT32_MAX));
  const auto mode = static_cast<mode_t>(in.integer(info[2], "mode", 0, 07777));
  if (!in.ok()) return in.refuse();
  return give_fd(info.Env(), open(path.c_str(), flags | O_CLOEXEC, mode), "open", path);
}

Napi::Value duplicate(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  return give_fd(info.Env(), fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl", {});
}

Napi::Value stat_fd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  struct stat status {};
  if (fstat(fd, &status) < 0) return raise(env, fail("fstat"));
  Napi::Object value = Napi::Object::New(env);
  value.Set("mode", Napi::Number::New(env, status.st_mode));
  value.Set("dev", Napi::BigInt::New(env, static_cast<uint64_t>(status.st_dev)));
  value.Set("ino", Napi::BigInt::New(env, static_cast<uint64_t>(status.st_ino)));
  return value;
}

Napi::Value lock_fd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  const bool mine = flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!mine && errno != EWOULDBLOCK) return raise(env, fail("flock"));
  return Napi::Boolean::New(env, mine);
}

Result<std::string> read_in_root(int root, const std::string& path, size_t limit) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // First only the name: opening a device or a fifo of an image would already do something.
  const Fd found(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (!found) return fail("openat2", path);
  struct stat status {};
  if (fstat(found.get(), &status) < 0) return fail("fstat", path);
  if (!S_ISREG(status.st_mode)) return fail_with(EINVAL, "read", path, "not a regular file");
  if (status.st_size > static_cast<off_t>(limit)) return fail_with(EFBIG, "read", path);
  const std::string again = "/proc/self/fd/" + std::to_string(found.get());
  const Fd fd(open(again.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail("open", path);
  std::string data;
  for (;;) {
    const size_t size = data.size();
    data.resize(size + 16384);
    const ssize_t n = read(fd.get(), data.data() + size, 16384);
    if (n < 0 && errno != EINTR) return fail("read", path);
    data.resize(size + (n > 0 ? static_cast<size_t>(n) : 0));
    if (data.size() > limit) return fail_with(EFBIG, "read", path);
    if (n == 0) return data;
  }
}

Napi::Value read_file_in_root(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int root = in.fd(info[0], "rootFd");
  const std::string path = in.text(info[1], "path");
  const auto limit = static_cast<size_t>(in.integer(info[2], "limit", 0, INT32_MAX));
  if (!in.ok()) return in.refuse();
  Result<std::string> data = read_in_root(root, path, limit);
  if (!data) return raise(info.Env(), data.failure());
  const auto* bytes = reinterpret_cast<const uint8_t*>(data->data());
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes, data->size());
}

}  // namespace

void add_descriptors(Napi::Env env, Napi::Object exports) {
  exports.Set("close", Napi::Function::New(env, close_fd, "close"));
  exports.Set("pipe", Napi::Function::New(env, make_pipe, "pipe"));
  exports.Set("openDirectory", Napi::Function::New(env, open_directory, "openDirectory"));
  exports.Set("open", Napi::Function::New(env, open_path, "open"));
  exports.Set("duplicate", Napi::Function::New(env, duplicate, "duplicate"));
  exports.Set("fstat", Napi::Function::New(env, stat_fd, "fstat"));
  exports.Set("lock", Napi::Function::New(env, lock_fd, "lock"));
  exports.Set("readFileInRoot", Napi::Function::New(env, read_file_in_root, "readFileInRoot"));
}

}  // namespace berth::addon

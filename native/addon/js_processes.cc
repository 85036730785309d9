#include <fcntl.h>
#include <linux/mount.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "addon/addon.h"
#include "addon/reader.h"
#include "addon/spawn.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

// A detached read-only clone of the one file: whoever opens /proc/<pid>/exe of a process run from it gets EROFS for
// writing, root or not.
Result<int> clone_executable(const std::string& path) {
  Fd fd(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!fd) return fail("open_tree", path);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  if (syscall(SYS_mount_setattr, fd.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
    return fail("mount_setattr", path);
  }
  return fd.release();
}

Napi::Value clone_executable_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  if (!in.ok()) return in.refuse();
  Result<int> fd = clone_executable(path);
  return fd ? Napi::Number::New(info.Env(), *fd) : raise(info.Env(), fd.failure());
}

SpawnRequest read_request(Reader& in, Napi::Value value) {
  const Napi::Object options = in.object(value, "options");
  SpawnRequest request;
  request.path = in.text(options.Get("path"), "path");
  request.executable_fd = in.optional_fd(options.Get("executableFd"), "executableFd");
  request.argv = in.texts(options.Get("argv"), "argv");
  request.env = in.texts(options.Get("env"), "env");
  request.cwd = in.optional_text(options.Get("cwd"), "cwd");
  request.cwd_fd = in.optional_fd(options.Get("cwdFd"), "cwdFd");
  const Napi::Array fds = in.array(options.Get("fds"), "fds");
  for (uint32_t i = 0; i < fds.Length(); ++i) request.fds.push_back(in.optional_fd(fds.Get(i), "fds"));
  return request;
}

Napi::Value spawn_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const SpawnRequest request = read_request(in, info[0]);
  if (!in.ok()) return in.refuse();
  Result<Spawned> spawned = spawn(request);
  if (!spawned) return raise(info.Env(), spawned.failure());
  Napi::Object value = Napi::Object::New(info.Env());
  value.Set("pid", Napi::Number::New(info.Env(), spawned->pid));
  value.Set("pidfd", Napi::Number::New(info.Env(), spawned->pidfd));
  return value;
}

Napi::Value wait_pidfd(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int pidfd = in.fd(info[0], "pidfd");
  if (!in.ok()) return in.refuse();
  return addon_of(info.Env()).wait.wait(info.Env(), pidfd);
}

Napi::Value pidfd_open_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const auto pid = static_cast<pid_t>(in.integer(info[0], "pid", 1, INT_MAX));
  if (!in.ok()) return in.refuse();
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return fd < 0 ? raise(info.Env(), fail("pidfd_open")) : Napi::Number::New(info.Env(), fd);
}

Napi::Value pidfd_send_signal_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int pidfd = in.fd(info[0], "pidfd");
  const int signal = static_cast<int>(in.integer(info[1], "signal", 0, 64));
  if (!in.ok()) return in.refuse();
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == ESRCH) return Napi::Boolean::New(info.Env(), false);
  return raise(info.Env(), fail("pidfd_send_signal"));
}

}  // namespace

void add_processes(Napi::Env env, Napi::Object exports) {
  exports.Set("cloneExecutable", Napi::Function::New(env, clone_executable_call, "cloneExecutable"));
  exports.Set("spawn", Napi::Function::New(env, spawn_call, "spawn"));
  exports.Set("waitPidfd", Napi::Function::New(env, wait_pidfd, "waitPidfd"));
  exports.Set("pidfdOpen", Napi::Function::New(env, pidfd_open_call, "pidfdOpen"));
  exports.Set("pidfdSendSignal", Napi::Function::New(env, pidfd_send_signal_call, "pidfdSendSignal"));
}

}  // namespace berth::addon

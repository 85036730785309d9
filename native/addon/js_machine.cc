#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon/addon.h"
#include "addon/chroot.h"
#include "addon/notify.h"
#include "addon/reader.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

Napi::Value capabilities(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) < 0) return raise(env, fail("capget"));
  uint64_t bounding = 0;
  int last = -1;
  for (int capability = 0; capability < 64; ++capability) {
    const int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;
    last = capability;
    if (held == 1) bounding |= uint64_t{1} << capability;
  }
  const uint64_t effective = uint64_t{data[1].effective} << 32 | data[0].effective;
  Napi::Object value = Napi::Object::New(env);
  value.Set("effective", Napi::BigInt::New(env, effective));
  value.Set("bounding", Napi::BigInt::New(env, bounding));
  value.Set("last", Napi::Number::New(env, last));
  return value;
}

Napi::Value epoll_refusal(const Napi::CallbackInfo& info) {
  const auto refusal = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "berth_epoll_refusal"));
  return Napi::Number::New(info.Env(), refusal == nullptr ? -1 : refusal());
}

Napi::Value in_chroot_call(const Napi::CallbackInfo& info) {
  Result<bool> answer = in_chroot();
  if (!answer) return raise(info.Env(), answer.failure());
  return Napi::Boolean::New(info.Env(), *answer);
}

Napi::Value syncfs_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  // A duplicate: the caller may close his before the thread comes to it.
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return raise(info.Env(), fail("fcntl"));
  auto work = [own]() -> Done {
    const Fd held(own);
    return syncfs(own) < 0 ? Done(fail("syncfs")) : Done(Nothing{});
  };
  return addon_of(info.Env()).disk.run(info.Env(), make_job(info.Env(), std::move(work), to_undefined));
}

Napi::Value detach_mount(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  if (!in.ok()) return in.refuse();
  auto work = [path]() -> Done {
    return umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? Done(fail("umount2", path)) : Done(Nothing{});
  };
  return addon_of(info.Env()).disk.run(info.Env(), make_job(info.Env(), std::move(work), to_undefined));
}

Napi::Value send_datagram_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string address = in.text(info[0], "address");
  const std::string text = in.text(info[1], "text");
  if (!in.ok()) return in.refuse();
  // Not on "disk": the watchdog would bite while a disk is slow.
  auto work = [address, text] { return send_datagram(address, text); };
  return addon_of(info.Env()).net.run(info.Env(), make_job(info.Env(), std::move(work), to_undefined));
}

Napi::Value get_limit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  const auto resource = static_cast<int>(in.integer(info[0], "resource", 0, RLIM_NLIMITS - 1));
  if (!in.ok()) return in.refuse();
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) < 0) return raise(env, fail("getrlimit"));
  Napi::Object value = Napi::Object::New(env);
  value.Set("soft", Napi::BigInt::New(env, static_cast<uint64_t>(limit.rlim_cur)));
  value.Set("hard", Napi::BigInt::New(env, static_cast<uint64_t>(limit.rlim_max)));
  return value;
}

Napi::Value disable_core_dumps(const Napi::CallbackInfo& info) {
  // Not RLIMIT_CORE: shims and containers would inherit it, and a container may well want its core files.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return raise(info.Env(), fail("prctl"));
  return info.Env().Undefined();
}

}  // namespace

void add_machine(Napi::Env env, Napi::Object exports) {
  exports.Set("capabilities", Napi::Function::New(env, capabilities, "capabilities"));
  exports.Set("epollRefusal", Napi::Function::New(env, epoll_refusal, "epollRefusal"));
  exports.Set("inChroot", Napi::Function::New(env, in_chroot_call, "inChroot"));
  exports.Set("syncfs", Napi::Function::New(env, syncfs_call, "syncfs"));
  exports.Set("detachMount", Napi::Function::New(env, detach_mount, "detachMount"));
  exports.Set("sendDatagram", Napi::Function::New(env, send_datagram_call, "sendDatagram"));
  exports.Set("getrlimit", Napi::Function::New(env, get_limit, "getrlimit"));
  exports.Set("disableCoreDumps", Napi::Function::New(env, disable_core_dumps, "disableCoreDumps"));
}

}  // namespace berth::addon

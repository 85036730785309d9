#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "addon/addon.h"
#include "addon/reader.h"
#include "addon/unix_address.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

// SCM_MAX_FD of the kernel.
constexpr size_t fds_limit = 253;
constexpr size_t frame_limit = 4 * 1024 * 1024 + 64;

Result<int> listen_unix(int directory, const std::string& name, int backlog) {
  Result<sockaddr_un> address = unix_address(directory, name);
  if (!address) return address.failure();
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail("socket", name);
  // The mode of the socket's inode becomes that of the file: umask would change the whole process for a moment.
  if (fchmod(fd.get(), 0600) < 0) return fail("fchmod", name);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) < 0) return fail("bind", name);
  if (listen(fd.get(), backlog) < 0) return fail("listen", name);
  return fd.release();
}

Result<int> connect_unix(int directory, const std::string& name) {
  Result<sockaddr_un> address = unix_address(directory, name);
  if (!address) return address.failure();
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail("socket", name);
  // On a unix socket this does not wait: it works at once, or EAGAIN says that the listener's queue is full.
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) < 0) return fail("connect", name);
  return fd.release();
}

Done send_with_fds(int fd, const std::string& name, const std::vector<uint8_t>& frame, const std::vector<int>& fds) {
  // Room for the whole frame in one go, whatever net.core.wmem_max says; refused without CAP_NET_ADMIN, then small
  // frames still fit.
  const int room = static_cast<int>(frame.size()) * 2 + 65536;
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  iovec part{const_cast<uint8_t*>(frame.data()), frame.size()};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return fail("sendmsg", name);
  if (static_cast<size_t>(sent) != frame.size()) return fail_with(ENOBUFS, "sendmsg", name, "frame was cut");
  return Nothing{};
}

Napi::Value listen_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int directory = in.fd(info[0], "directoryFd");
  const std::string name = in.text(info[1], "name");
  const int backlog = static_cast<int>(in.integer(info[2], "backlog", 1, 65535));
  if (!in.ok()) return in.refuse();
  Result<int> fd = listen_unix(directory, name, backlog);
  return fd ? Napi::Number::New(info.Env(), *fd) : raise(info.Env(), fd.failure());
}

Napi::Value connect_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int directory = in.fd(info[0], "directoryFd");
  const std::string name = in.text(info[1], "name");
  if (!in.ok()) return in.refuse();
  Result<int> fd = connect_unix(directory, name);
  return fd ? Napi::Number::New(info.Env(), *fd) : raise(info.Env(), fd.failure());
}

Napi::Value connect_with_fds(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int directory = in.fd(info[0], "directoryFd");
  const std::string name = in.text(info[1], "name");
  const std::vector<uint8_t> frame = in.bytes(info[2], "frame");
  const Napi::Array list = in.array(info[3], "fds");
  std::vector<int> fds;
  for (uint32_t i = 0; i < list.Length(); ++i) fds.push_back(in.fd(list.Get(i), "fds"));
  if (!in.ok()) return in.refuse();
  if (frame.empty() || frame.size() > frame_limit || fds.size() > fds_limit) {
    return raise(info.Env(), fail_with(EMSGSIZE, "sendmsg", name));
  }
  Result<int> fd = connect_unix(directory, name);
  if (!fd) return raise(info.Env(), fd.failure());
  Fd owned(*fd);
  const Done sent = send_with_fds(owned.get(), name, frame, fds);
  return sent ? Napi::Number::New(info.Env(), owned.release()) : raise(info.Env(), sent.failure());
}

Napi::Value peer_credentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  const int fd = in.fd(info[0], "fd");
  if (!in.ok()) return in.refuse();
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return raise(env, fail("getsockopt"));
  Napi::Object value = Napi::Object::New(env);
  value.Set("pid", Napi::Number::New(env, peer.pid));
  value.Set("uid", Napi::Number::New(env, peer.uid));
  value.Set("gid", Napi::Number::New(env, peer.gid));
  return value;
}

}  // namespace

void add_sockets(Napi::Env env, Napi::Object exports) {
  exports.Set("listenUnix", Napi::Function::New(env, listen_call, "listenUnix"));
  exports.Set("connectUnix", Napi::Function::New(env, connect_call, "connectUnix"));
  exports.Set("connectUnixWithFds", Napi::Function::New(env, connect_with_fds, "connectUnixWithFds"));
  exports.Set("peerCredentials", Napi::Function::New(env, peer_credentials, "peerCredentials"));
}

}  // namespace berth::addon

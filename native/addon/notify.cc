#include "addon/notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "common/fd.h"

namespace berth::addon {
namespace {

constexpr timeval patience{5, 0};

}  // namespace

Done send_datagram(const std::string& address, const std::string& text) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address.empty() || address.size() >= sizeof to.sun_path) return fail_with(EINVAL, "sendto", address);
  memcpy(to.sun_path, address.data(), address.size());
  // An abstract name begins with a zero byte and ends without one.
  const bool abstract = to.sun_path[0] == '@';
  if (abstract) to.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() + (abstract ? 0 : 1));
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return fail("socket", address);
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const ssize_t sent =
      sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
  return sent < 0 ? Done(fail("sendto", address)) : Done(Nothing{});
}

}  // namespace berth::addon

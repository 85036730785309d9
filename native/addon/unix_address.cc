#include "addon/unix_address.h"

#include <cstring>

namespace berth::addon {

Result<sockaddr_un> unix_address(int directory_fd, const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return fail_with(EINVAL, "unix address", name, "not a plain file name");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(directory_fd) + "/" + name;
  if (path.size() > unix_path_limit) {
    return fail_with(ENAMETOOLONG, "unix address", name, "unix socket paths end at 107 bytes");
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace berth::addon

// Addresses of unix sockets below a directory fd: 64-hex ids overflow the 108 bytes of sun_path, /proc/self/fd does
// not.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>

#include "addon/failure.h"

namespace berth::addon {

// Longest path that still ends with the NUL that other tools expect.
inline constexpr size_t unix_path_limit = sizeof(sockaddr_un::sun_path) - 1;

// `name` is one path component. Never truncates: ENAMETOOLONG says which name.
Result<sockaddr_un> unix_address(int directory_fd, const std::string& name);

}  // namespace berth::addon

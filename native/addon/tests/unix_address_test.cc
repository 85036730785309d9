#include "addon/unix_address.h"

#include <cstring>

#include "addon/tests/check.h"

using namespace berth::addon;

TEST("a socket's name becomes a path below the directory's descriptor") {
  Result<sockaddr_un> address = unix_address(7, "shim.sock");
  CHECK(address && strcmp(address->sun_path, "/proc/self/fd/7/shim.sock") == 0);
}

TEST("a path of 107 bytes fits and one of 108 is refused by name") {
  const size_t prefix = strlen("/proc/self/fd/7/");
  CHECK(unix_address(7, std::string(107 - prefix, 'a')));
  const std::string longer(108 - prefix, 'a');
  const Result<sockaddr_un> refused = unix_address(7, longer);
  CHECK(!refused && refused.failure().error == ENAMETOOLONG && refused.failure().path == longer);
}

TEST("a socket's name is one component") {
  for (const char* name : {"", ".", "..", "a/b", "/a"}) CHECK(unix_address(7, name).failure().error == EINVAL);
  CHECK(unix_address(7, std::string("a\0b", 3)).failure().error == EINVAL);
}

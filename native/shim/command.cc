#include "shim/command.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

namespace berth {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view path_of(const StringVector& env) {
  std::string_view path = kDefaultPath;
  for (size_t i = 0; i < env.count; i++) {
    if (starts_with(env.items[i], "PATH=")) path = slice(env.items[i], 5);  // the last one counts
  }
  return path;
}

bool try_the_next(int error) {
  return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
         error == ETIMEDOUT;
}

}  // namespace

void execute(const Command& command, Fault& fault) {
  char* const nothing[] = {nullptr};
  char* const* env = command.env.items == nullptr ? nothing : command.env.items;
  if (command.args.count == 0 || command.args.items[0][0] == '\0') {
    fault.start("execve", "", ENOENT);
    return;
  }
  const char* name = command.args.items[0];
  if (strchr(name, '/') != nullptr) {
    execve(name, command.args.items, env);
    fault.start("execve", name, errno);
    return;
  }
  int error = ENOENT;
  std::string_view rest = path_of(command.env);
  for (bool more = true; more;) {
    size_t size = 0;
    while (size < rest.size() && rest[size] != ':') size++;
    Path path(slice(rest, 0, size));
    if (!path.empty()) path.add("/");
    path.add(name);
    more = size < rest.size();
    rest.remove_prefix(more ? size + 1 : size);
    if (path.cut()) continue;
    execve(path.c_str(), command.args.items, env);
    if (!try_the_next(errno)) {
      error = errno;
      break;
    }
    // One that is there and may not be executed says more than those that are not there.
    if (errno == EACCES) error = EACCES;
  }
  fault.start("execve", name, error);
}

int code_for_failed_execve(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return 127;
    case EACCES:
    case EPERM:
    case ENOEXEC:
    case EISDIR:
      return 126;
    default:
      return 128;
  }
}

}  // namespace berth

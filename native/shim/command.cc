#include "shim/command.h"

#include "common/text.h"
#include "shim/bare_exec.h"
#include "shim/messages.h"

namespace berth {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

const char* search_path(char* const* env) {
  const char* path = kDefaultPath;
  for (; *env != nullptr; env++) {
    if (starts_with(*env, "PATH=")) path = *env + 5;  // the last one counts
  }
  return path;
}

void execute(const Command& command, Fault& fault) {
  char* const* args = command.args.items();
  char* const* env = command.env.items();
  char room[kExecRoom];
  const int error = bare_exec(args, env, search_path(env), room);
  fault.start("execve", view_of(args[0]), error);
}

}  // namespace berth

// The last act of a child: become the user's command.
#pragma once

#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

// Decodes with args and env as vectors that end with a null pointer.
struct Command {
  StringVector args, env;
};

// Executes; comes back only with the reason in `fault`. A name without a slash is looked for in env's PATH.
void execute(const Command& command, Fault& fault);
// The exit code a shell would give for a command that could not be executed.
int code_for_failed_execve(int error);

}  // namespace berth

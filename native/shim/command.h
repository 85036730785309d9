// The last act of a child: become the user's command.
#pragma once

#include "common/owned.h"
#include "shim/child.h"

namespace berth {

// Decodes with args and env as vectors that end with a null pointer.
struct Command {
  OwnedStrings args, env;
};

// Executes; comes back only with the reason in `fault`. A name without a slash is looked for in env's PATH.
void execute(const Command& command, Fault& fault);
// Where an environment says that commands are, directories between colons.
const char* search_path(char* const* env);

}  // namespace berth

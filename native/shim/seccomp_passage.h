// A process that gives itself a container's filter and then makes the one that becomes the command must clone although
// the filter may refuse that, and must have the filter before, since loading one takes a capability that nobody in a
// container may see it with. So a few instructions are put in front of the filter which let these calls through, and
// only when two registers that the calls do not use hold a secret of 128 bits:
//   clone(CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD), setsid(), and for a terminal ioctl(TIOCSCTTY).
// Whoever learned the secret could fork, and begin a session, which is all that the calls do.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <string_view>

#include "common/owned.h"
#include "shim/bare_exec.h"
#include "shim/fault.h"

namespace berth {

// In struct sock_filter. A filter that is too long for it is refused for every container, so that none is made that
// could have no exec.
inline constexpr size_t kPassageLength = 21;

// A filter ready to be loaded.
struct Filter {
  const sock_filter* code = nullptr;
  size_t count = 0;  // 0: none
  unsigned flags = 0;
  OwnedArray<sock_filter> own = {};  // what `code` is where it is not the plan's
};

// The filter of a plan as it is.
bool plain_filter(std::string_view bytes, unsigned flags, Filter& filter, Fault& fault);
// With a passage in front, for a new secret.
bool filter_with_passage(std::string_view bytes, unsigned flags, bool terminal, Filter& filter, PassageSecret& secret,
                         Fault& fault);
bool load_filter(const Filter& filter, Fault& fault);

}  // namespace berth

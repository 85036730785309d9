#pragma once

#include "shim/build.h"

namespace berth {

// A terminal of the container's own devpts: its user side becomes 0, 1 and 2, the controlling terminal and
// /dev/console; its master goes to the shim.
bool make_terminal(Build& build);

}  // namespace berth

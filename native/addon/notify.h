// Words to the service manager.
#pragma once

#include <string>

#include "addon/failure.h"

namespace berth::addon {

// One datagram to a unix socket, named by its path or, as "@name", by its abstract name. Waits at most a few seconds
// for a receiver whose queue is full.
Done send_datagram(const std::string& address, const std::string& text);

}  // namespace berth::addon

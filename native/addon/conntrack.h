// What the kernel remembers of flows of datagrams.
#pragma once

#include <cstdint>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

// Makes the kernel forget every UDP flow that was sent to one of these ports, of both families; gives how many. A flow
// keeps the way that was chosen for its first datagram as long as datagrams come, so it would never learn of a port
// that leads to a pod now, or no more.
Result<uint32_t> forget_udp_flows(const std::vector<uint16_t>& ports);

}  // namespace berth::addon

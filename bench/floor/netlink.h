// As few rtnetlink messages as a pod's network can be made with.
#pragma once

#include <cstdint>

namespace floor_bench {

int netlink_open();
// Once: a bridge with an address. Gives its index.
int make_bridge(int netlink, const char* name, uint32_t address, int prefix);
// One message: a pair whose other end, eth0, is born in the pod's namespace; this end on the bridge, and up.
void make_veth(int netlink, const char* name, int bridge, int net_namespace);
// One batch, inside the pod's namespace: lo and eth0 up, address, default route.
void set_up_eth0(int netlink, uint32_t address, int prefix, uint32_t gateway);

}  // namespace floor_bench

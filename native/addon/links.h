// Bridge, veth pairs and namespaces of pods. Everything here runs on the thread "net".
#pragma once

#include <string>
#include <vector>

#include "addon/address.h"
#include "addon/failure.h"

namespace berth::addon {

struct BridgeRequest {
  std::string name;
  std::optional<MacAddress> mac;
  unsigned mtu = 0;
  std::vector<IpNetwork> addresses;
};

struct VethRequest {
  int netns_fd = -1;
  std::string host_name;
  std::string container_name;
  std::string bridge;
  std::optional<MacAddress> mac;
  unsigned mtu = 0;
  bool hairpin = true;
  std::vector<IpNetwork> addresses;
  std::vector<IpAddress> gateways;
};

struct VethReply {
  unsigned host_index;
  std::string mac;
};

struct LinkCounts {
  std::string name;
  uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

struct Link {
  std::string name;
  std::string kind;
  std::string mac;
  unsigned index = 0;
  unsigned master = 0;
  bool up = false;
  LinkCounts counts;
};

// A new namespace with `lo` up; the result is its fd.
Result<int> create_netns();
// Brings up the `lo` of a namespace that somebody else made.
Done raise_loopback(int netns_fd);
Done ensure_bridge(const BridgeRequest& request);
Result<VethReply> attach_veth(const VethRequest& request);
// Of the current namespace; a name narrows it to one.
Result<std::vector<Link>> list_links(const std::string& name = {});
Result<std::vector<Link>> list_links_in(int netns_fd);
// Waits for RCU, tens of ms. A missing link is no failure.
Done delete_link(const std::string& name);

}  // namespace berth::addon

#include "addon/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "addon/netlink.h"

namespace berth::addon {
namespace {

constexpr uint16_t get_flows = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
constexpr uint16_t delete_flow = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
// Bits of CTA_FILTER_ORIG_FLAGS, which no header of the kernel tells: which parts of CTA_TUPLE_ORIG shall match.
constexpr uint32_t match_protocol = 1 << 3;
constexpr uint32_t match_destination_port = 1 << 5;

// One flow, by the attributes that name it to the kernel.
struct Flow {
  uint8_t family;
  std::vector<uint8_t> tuple;
  std::vector<uint8_t> id;
  std::vector<uint8_t> zone;
};

void put_family(nlmsghdr* message, uint8_t family) {
  auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  header->nfgen_family = family;
  header->version = NFNETLINK_V0;
}

std::vector<uint8_t> payload_of(const nlattr* attribute) {
  const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  return {bytes, bytes + mnl_attr_get_payload_len(attribute)};
}

// The destination port of a tuple of UDP; 0 of everything else.
uint16_t udp_port_of(const nlattr* tuple) {
  uint8_t protocol = 0;
  uint16_t port = 0;
  each_nested(tuple, [&](const nlattr* part) {
    if (mnl_attr_get_type(part) != CTA_TUPLE_PROTO) return;
    each_nested(part, [&](const nlattr* attribute) {
      const uint16_t type = mnl_attr_get_type(attribute);
      if (type == CTA_PROTO_NUM) protocol = mnl_attr_get_u8(attribute);
      if (type == CTA_PROTO_DST_PORT) port = ntohs(mnl_attr_get_u16(attribute));
    });
  });
  return protocol == IPPROTO_UDP ? port : 0;
}

// The kernel sends UDP only, and of a single port just its flows: a node may remember a hundred thousand others.
void put_question(nlmsghdr* message, uint8_t family, const std::vector<uint16_t>& ports) {
  // It filters one family at a time.
  put_family(message, family);
  const bool one = ports.size() == 1;
  nlattr* tuple = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
  nlattr* protocol = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_UDP);
  if (one) mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(ports.front()));
  mnl_attr_nest_end(message, protocol);
  mnl_attr_nest_end(message, tuple);
  nlattr* filter = mnl_attr_nest_start(message, CTA_FILTER);
  mnl_attr_put_u32(message, CTA_FILTER_ORIG_FLAGS, match_protocol | (one ? match_destination_port : 0));
  mnl_attr_nest_end(message, filter);
}

Done find_flows(Netlink& netlink, uint8_t family, const std::vector<uint16_t>& ports, std::vector<Flow>& flows) {
  NetlinkBatch question;
  put_question(question.add(get_flows, NLM_F_DUMP, "udp flows"), family, ports);
  return netlink.ask(question, [&](const nlmsghdr* message) {
    Flow flow{};
    uint16_t port = 0;
    flow.family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family;
    each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
      const uint16_t type = mnl_attr_get_type(attribute);
      if (type == CTA_TUPLE_ORIG) port = udp_port_of(attribute);
      if (type == CTA_TUPLE_ORIG) flow.tuple = payload_of(attribute);
      if (type == CTA_ID) flow.id = payload_of(attribute);
      if (type == CTA_ZONE) flow.zone = payload_of(attribute);
    });
    if (std::find(ports.begin(), ports.end(), port) != ports.end()) flows.push_back(std::move(flow));
  });
}

void put(nlmsghdr* message, uint16_t type, const std::vector<uint8_t>& bytes) {
  if (!bytes.empty()) mnl_attr_put(message, type, bytes.size(), bytes.data());
}

}  // namespace

Result<uint32_t> forget_udp_flows(const std::vector<uint16_t>& ports) {
  if (ports.empty()) return 0u;
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.failure();
  std::vector<Flow> flows;
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    const Done found = find_flows(*netlink, family, ports, flows);
    if (!found) return found.failure();
  }
  for (const Flow& flow : flows) {
    // One by one: a flow that went by itself meanwhile is no failure, and hides none.
    NetlinkBatch forget;
    nlmsghdr* message = forget.add(delete_flow, 0, "udp flow");
    put_family(message, flow.family);
    put(message, NLA_F_NESTED | CTA_TUPLE_ORIG, flow.tuple);
    put(message, CTA_ZONE, flow.zone);
    put(message, CTA_ID, flow.id);
    const Done done = netlink->send(forget);
    if (!done && done.failure().error != ENOENT) return done.failure();
  }
  return static_cast<uint32_t>(flows.size());
}

}  // namespace berth::addon

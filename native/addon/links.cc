#include "addon/links.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "addon/netlink.h"
#include "addon/netns.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

constexpr uint16_t create_new = NLM_F_CREATE | NLM_F_EXCL;
constexpr uint16_t create_or_replace = NLM_F_CREATE | NLM_F_REPLACE;

ifinfomsg* put_link(nlmsghdr* message, bool up) {
  auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
  link->ifi_family = AF_UNSPEC;
  if (up) {
    link->ifi_flags = IFF_UP;
    link->ifi_change = IFF_UP;
  }
  return link;
}

void put_common(nlmsghdr* message, const std::string& name, unsigned mtu, const std::optional<MacAddress>& mac) {
  mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
  if (mtu != 0) mnl_attr_put_u32(message, IFLA_MTU, mtu);
  if (mac) mnl_attr_put(message, IFLA_ADDRESS, mac->size(), mac->data());
}

void add_up(NetlinkBatch& batch, const std::string& name) {
  nlmsghdr* message = batch.add(RTM_NEWLINK, 0, "bring up " + name);
  put_link(message, true);
  mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
}

void add_address(NetlinkBatch& batch, unsigned index, const IpNetwork& network) {
  nlmsghdr* message = batch.add(RTM_NEWADDR, create_or_replace, "add address");
  auto* address = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
  address->ifa_family = static_cast<uint8_t>(network.address.family);
  address->ifa_prefixlen = network.prefix;
  address->ifa_index = index;
  // We gave the address out ourselves: a pod does not wait a second to find out that nobody else has it.
  if (network.address.family == AF_INET6) address->ifa_flags = IFA_F_NODAD;
  mnl_attr_put(message, IFA_LOCAL, network.address.size, network.address.bytes.data());
  mnl_attr_put(message, IFA_ADDRESS, network.address.size, network.address.bytes.data());
  if (network.address.family != AF_INET) return;
  std::array<uint8_t, 4> broadcast{};
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto mask = static_cast<uint8_t>(0x80 >> bit % 8);
    const uint8_t host = bit < network.prefix ? network.address.bytes[bit / 8] : 0xff;
    broadcast[bit / 8] = static_cast<uint8_t>(broadcast[bit / 8] | (host & mask));
  }
  if (network.prefix < 31) mnl_attr_put(message, IFA_BROADCAST, broadcast.size(), broadcast.data());
}

void add_default_route(NetlinkBatch& batch, unsigned index, const IpAddress& gateway) {
  nlmsghdr* message = batch.add(RTM_NEWROUTE, create_new, "add default route");
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
  route->rtm_family = static_cast<uint8_t>(gateway.family);
  route->rtm_table = RT_TABLE_MAIN;
  route->rtm_protocol = RTPROT_STATIC;
  route->rtm_scope = RT_SCOPE_UNIVERSE;
  route->rtm_type = RTN_UNICAST;
  mnl_attr_put(message, RTA_GATEWAY, gateway.size, gateway.bytes.data());
  mnl_attr_put_u32(message, RTA_OIF, index);
}

// The host end with its master and up, and the other end born inside the namespace, in one message: moving a device
// between namespaces waits for RCU. The peer cannot be born up.
void add_veth(NetlinkBatch& batch, const VethRequest& request, unsigned bridge) {
  nlmsghdr* message = batch.add(RTM_NEWLINK, create_new, request.host_name);
  put_link(message, true);
  put_common(message, request.host_name, request.mtu, std::nullopt);
  mnl_attr_put_u32(message, IFLA_MASTER, bridge);
  nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
  mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
  nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
  nlattr* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
  put_link(message, false);
  put_common(message, request.container_name, request.mtu, request.mac);
  mnl_attr_put_u32(message, IFLA_NET_NS_FD, static_cast<uint32_t>(request.netns_fd));
  mnl_attr_nest_end(message, peer);
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, info);
}

// Lets a pod reach itself through a host port of the node.
void add_hairpin(NetlinkBatch& batch, const std::string& name) {
  nlmsghdr* message = batch.add(RTM_NEWLINK, 0, "hairpin of " + name);
  put_link(message, false);
  mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
  nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
  mnl_attr_put_strz(message, IFLA_INFO_SLAVE_KIND, "bridge");
  nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_SLAVE_DATA);
  mnl_attr_put_u8(message, IFLA_BRPORT_MODE, 1);
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, info);
}

std::string text_of(const nlattr* attribute) {
  const char* text = mnl_attr_get_str(attribute);
  return {text, strnlen(text, mnl_attr_get_payload_len(attribute))};
}

void read_counts(const nlattr* attribute, LinkCounts& counts) {
  rtnl_link_stats64 stats{};
  const size_t size = mnl_attr_get_payload_len(attribute);
  memcpy(&stats, mnl_attr_get_payload(attribute), size < sizeof stats ? size : sizeof stats);
  counts.rx_bytes = stats.rx_bytes;
  counts.rx_packets = stats.rx_packets;
  counts.rx_errors = stats.rx_errors;
  counts.rx_dropped = stats.rx_dropped;
  counts.tx_bytes = stats.tx_bytes;
  counts.tx_packets = stats.tx_packets;
  counts.tx_errors = stats.tx_errors;
  counts.tx_dropped = stats.tx_dropped;
}

void read_attribute(const nlattr* attribute, Link& link) {
  switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
      link.name = text_of(attribute);
      break;
    case IFLA_MASTER:
      link.master = mnl_attr_get_u32(attribute);
      break;
    case IFLA_STATS64:
      read_counts(attribute, link.counts);
      break;
    case IFLA_ADDRESS:
      if (mnl_attr_get_payload_len(attribute) == 6) {
        MacAddress mac;
        memcpy(mac.data(), mnl_attr_get_payload(attribute), mac.size());
        link.mac = format_mac(mac);
      }
      break;
    case IFLA_LINKINFO:
      each_nested(attribute, [&](const nlattr* inner) {
        if (mnl_attr_get_type(inner) == IFLA_INFO_KIND) link.kind = text_of(inner);
      });
      break;
    default:
      break;
  }
}

Link read_link(const nlmsghdr* message) {
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Link link;
  link.index = static_cast<unsigned>(header->ifi_index);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  each_attribute(message, sizeof(ifinfomsg), [&](const nlattr* attribute) { read_attribute(attribute, link); });
  link.counts.name = link.name;
  return link;
}

Result<std::vector<Link>> ask_links(Netlink& netlink, const std::string& name) {
  NetlinkBatch batch;
  nlmsghdr* message = batch.add(RTM_GETLINK, name.empty() ? NLM_F_DUMP : 0, name.empty() ? "links" : name);
  put_link(message, false);
  if (!name.empty()) mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
  std::vector<Link> links;
  const Done done = netlink.ask(batch, [&](const nlmsghdr* answer) {
    if (answer->nlmsg_type == RTM_NEWLINK) links.push_back(read_link(answer));
  });
  if (!done) return done.failure();
  return links;
}

Result<Link> ask_link(Netlink& netlink, const std::string& name) {
  Result<std::vector<Link>> links = ask_links(netlink, name);
  if (!links) return links.failure();
  if (links->empty()) return fail_with(ENODEV, "rtnetlink", name);
  return std::move(links->front());
}

// The default route of the namespace the thread is in, and no other, is where its packets go: whoever is on the same
// bridge may send router advertisements and redirects to it. netlink has no attribute for these (IFLA_INET6_CONF is
// only read). A kernel without IPv6, and an MTU below its 1280 bytes, have no such files, and nothing to keep.
Done refuse_routes_of_others(const std::string& name) {
  const std::string conf = "/proc/sys/net/";
  const std::string settings[] = {
      conf + "ipv6/conf/" + name + "/accept_ra", conf + "ipv6/conf/" + name + "/accept_redirects",
      conf + "ipv6/conf/" + name + "/autoconf", conf + "ipv4/conf/" + name + "/accept_redirects"};
  for (const std::string& setting : settings) {
    const Fd file(open(setting.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) continue;
    if (!file || write(file.get(), "0", 1) != 1) return fail("write", setting);
  }
  return Nothing{};
}

// lo and eth0 up, addresses, routes, in the namespace the thread is in. Gives the MAC of eth0.
Result<std::string> configure_inside(const VethRequest& request) {
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  Result<Link> link = ask_link(*netlink, request.container_name);
  if (!link) return link.failure();
  // While it is down nobody is heard.
  const Done refused = refuse_routes_of_others(request.container_name);
  if (!refused) return refused.failure();
  NetlinkBatch batch;
  add_up(batch, "lo");
  for (const IpNetwork& address : request.addresses) add_address(batch, link->index, address);
  add_up(batch, request.container_name);
  for (const IpAddress& gateway : request.gateways) add_default_route(batch, link->index, gateway);
  const Done done = netlink->send(batch);
  if (!done) return done.failure();
  return link->mac;
}

Result<std::string> configure_in(const VethRequest& request) {
  Result<NetnsVisit> visit = NetnsVisit::enter(request.netns_fd);
  if (!visit) return visit.failure();
  return configure_inside(request);
}

}  // namespace

Result<int> create_netns() {
  Result<NetnsVisit> visit = NetnsVisit::create();
  if (!visit) return visit.failure();
  Result<int> opened = NetnsVisit::open_current();
  if (!opened) return opened.failure();
  Fd netns(*opened);
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  NetlinkBatch batch;
  add_up(batch, "lo");
  const Done done = netlink->send(batch);
  if (!done) return done.failure();
  return netns.release();
}

Done raise_loopback(int netns_fd) {
  Result<NetnsVisit> visit = NetnsVisit::enter(netns_fd);
  if (!visit) return visit.failure();
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  NetlinkBatch batch;
  add_up(batch, "lo");
  return netlink->send(batch);
}

Done ensure_bridge(const BridgeRequest& request) {
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  NetlinkBatch create;
  nlmsghdr* message = create.add(RTM_NEWLINK, NLM_F_CREATE, "bridge " + request.name);
  put_link(message, true);
  put_common(message, request.name, request.mtu, request.mac);
  nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
  mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
  nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
  mnl_attr_put_u32(message, IFLA_BR_STP_STATE, 0);
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, info);
  const Done created = netlink->send(create);
  if (!created) return created;

  Result<Link> link = ask_link(*netlink, request.name);
  if (!link) return link.failure();
  if (link->kind != "bridge") return fail_with(EEXIST, "rtnetlink", request.name, "exists and is no bridge");
  NetlinkBatch configure;
  for (const IpNetwork& address : request.addresses) add_address(configure, link->index, address);
  return netlink->send(configure);
}

Result<VethReply> attach_veth(const VethRequest& request) {
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  const unsigned bridge = if_nametoindex(request.bridge.c_str());
  if (bridge == 0) return fail_with(ENODEV, "rtnetlink", "bridge " + request.bridge);
  NetlinkBatch batch;
  add_veth(batch, request, bridge);
  const Done created = netlink->send(batch);
  if (!created) return created.failure();

  NetlinkBatch after;
  if (request.hairpin) add_hairpin(after, request.host_name);
  const Done tuned = netlink->send(after);
  const unsigned index = if_nametoindex(request.host_name.c_str());
  Result<std::string> mac = tuned ? configure_in(request) : Result<std::string>(tuned.failure());
  if (!mac) {
    (void)delete_link(request.host_name);
    return mac.failure();
  }
  return VethReply{index, *mac};
}

Result<std::vector<Link>> list_links(const std::string& name) {
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  return ask_links(*netlink, name);
}

Result<std::vector<Link>> list_links_in(int netns_fd) {
  Result<NetnsVisit> visit = NetnsVisit::enter(netns_fd);
  if (!visit) return visit.failure();
  return list_links();
}

Done delete_link(const std::string& name) {
  Result<Netlink> netlink = Netlink::open();
  if (!netlink) return netlink.failure();
  NetlinkBatch batch;
  nlmsghdr* message = batch.add(RTM_DELLINK, 0, name);
  put_link(message, false);
  mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
  const Done done = netlink->send(batch);
  if (!done && done.failure().error != ENODEV) return done;
  return Nothing{};
}

}  // namespace berth::addon

#include "floor/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor/check.h"

namespace floor_bench {
namespace {

// Messages one behind the other, sent in one call; each is acknowledged.
class Batch {
 public:
  template <typename Body>
  void begin(uint16_t type, uint16_t flags, const Body& body) {
    message_ = reinterpret_cast<nlmsghdr*>(buffer_ + used_);
    *message_ = {.nlmsg_len = NLMSG_LENGTH(sizeof body),
                 .nlmsg_type = type,
                 .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags),
                 .nlmsg_seq = ++messages_,
                 .nlmsg_pid = 0};
    memcpy(NLMSG_DATA(message_), &body, sizeof body);
    used_ += NLMSG_ALIGN(message_->nlmsg_len);
  }

  void put(uint16_t type, const void* data, size_t size) {
    auto* attribute = reinterpret_cast<rtattr*>(buffer_ + used_);
    *attribute = {.rta_len = static_cast<uint16_t>(RTA_LENGTH(size)), .rta_type = type};
    if (size > 0) memcpy(RTA_DATA(attribute), data, size);
    grow(RTA_SPACE(size));
  }
  void put_text(uint16_t type, const char* text) { put(type, text, strlen(text) + 1); }
  void put_u32(uint16_t type, uint32_t value) { put(type, &value, sizeof value); }
  template <typename Body>
  void put_raw(const Body& body) {
    memcpy(buffer_ + used_, &body, sizeof body);
    grow(NLMSG_ALIGN(sizeof body));
  }

  // Everything put until close() is inside this attribute.
  size_t open(uint16_t type) {
    const size_t start = used_;
    put(type, nullptr, 0);
    return start;
  }
  void close(size_t start) {
    reinterpret_cast<rtattr*>(buffer_ + start)->rta_len = static_cast<uint16_t>(used_ - start);
  }

  void send(int netlink, const char* what) {
    must(::send(netlink, buffer_, used_, 0), what);
    alignas(nlmsghdr) char answer[4096];
    uint32_t acknowledged = 0;
    while (acknowledged < messages_) {
      auto left = static_cast<size_t>(must(recv(netlink, answer, sizeof answer, 0), what));
      for (auto* header = reinterpret_cast<nlmsghdr*>(answer); NLMSG_OK(header, left);
           header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type != NLMSG_ERROR) continue;
        acknowledged++;
        errno = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
        if (errno != 0) fail("floor: %s", what);
      }
    }
  }

 private:
  void grow(size_t size) {
    used_ += size;
    message_->nlmsg_len = static_cast<uint32_t>(buffer_ + used_ - reinterpret_cast<char*>(message_));
  }

  alignas(nlmsghdr) char buffer_[2048] = {};
  size_t used_ = 0;
  uint32_t messages_ = 0;
  nlmsghdr* message_ = nullptr;
};

constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;

ifinfomsg link(int index, unsigned flags) {
  ifinfomsg body = {};
  body.ifi_index = index;
  body.ifi_flags = flags;
  body.ifi_change = flags;
  return body;
}

void add_address(Batch& batch, int index, uint32_t address, int prefix) {
  ifaddrmsg body = {};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<uint8_t>(prefix);
  body.ifa_index = static_cast<uint32_t>(index);
  batch.begin(RTM_NEWADDR, kNew, body);
  batch.put_u32(IFA_LOCAL, htonl(address));
  batch.put_u32(IFA_ADDRESS, htonl(address));
}

}  // namespace

int netlink_open() {
  return must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "netlink socket");
}

int make_bridge(int netlink, const char* name, uint32_t address, int prefix) {
  Batch create;
  create.begin(RTM_NEWLINK, kNew, link(0, IFF_UP));
  create.put_text(IFLA_IFNAME, name);
  const size_t info = create.open(IFLA_LINKINFO);
  create.put_text(IFLA_INFO_KIND, "bridge");
  create.close(info);
  create.send(netlink, "bridge");
  const int index = static_cast<int>(if_nametoindex(name));
  Batch configure;
  add_address(configure, index, address, prefix);
  configure.send(netlink, "address of the bridge");
  return index;
}

void make_veth(int netlink, const char* name, int bridge, int net_namespace) {
  Batch batch;
  batch.begin(RTM_NEWLINK, kNew, link(0, IFF_UP));
  batch.put_text(IFLA_IFNAME, name);
  batch.put_u32(IFLA_MASTER, static_cast<uint32_t>(bridge));
  const size_t info = batch.open(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, "veth");
  const size_t data = batch.open(IFLA_INFO_DATA);
  const size_t peer = batch.open(VETH_INFO_PEER);
  batch.put_raw(link(0, 0));
  batch.put_text(IFLA_IFNAME, "eth0");
  batch.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(net_namespace));
  batch.close(peer);
  batch.close(data);
  batch.close(info);
  batch.send(netlink, "veth");
}

void set_up_eth0(int netlink, uint32_t address, int prefix, uint32_t gateway) {
  const int eth0 = static_cast<int>(if_nametoindex("eth0"));
  Batch batch;
  batch.begin(RTM_NEWLINK, 0, link(1, IFF_UP));
  batch.begin(RTM_NEWLINK, 0, link(eth0, IFF_UP));
  add_address(batch, eth0, address, prefix);
  rtmsg route = {};
  route.rtm_family = AF_INET;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_BOOT;
  route.rtm_scope = RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_UNICAST;
  batch.begin(RTM_NEWROUTE, kNew, route);
  batch.put_u32(RTA_GATEWAY, htonl(gateway));
  batch.put_u32(RTA_OIF, static_cast<uint32_t>(eth0));
  batch.send(netlink, "eth0");
}

}  // namespace floor_bench

// Requests to rtnetlink (or to netfilter), many in one send: the kernel answers each, and the first that failed is the
// batch's failure.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

class NetlinkBatch {
 public:
  NetlinkBatch() : buffer_(64 * 1024) {}

  // A new message; `what` ("veth bv12", "address 10.89.0.2/16") is named when it fails. Fill it before the next.
  nlmsghdr* add(uint16_t type, uint16_t flags, std::string what);

  size_t count() const { return names_.size(); }
  const std::string& name(size_t index) const { return names_[index]; }
  const uint8_t* data() const { return buffer_.data(); }
  // Closes the last message and gives the size of all.
  size_t finish();

 private:
  std::vector<uint8_t> buffer_;
  std::vector<std::string> names_;
  size_t size_ = 0;
  nlmsghdr* open_ = nullptr;
};

// One socket in the network namespace that the calling thread is in when it opens.
class Netlink {
 public:
  static Result<Netlink> open(int protocol = NETLINK_ROUTE);
  Netlink(Netlink&& other) noexcept : socket_(other.socket_), name_(other.name_) { other.socket_ = nullptr; }
  Netlink& operator=(Netlink&&) = delete;
  Netlink(const Netlink&) = delete;
  ~Netlink();

  // Sends all and waits for every answer. All are tried, whatever happens to one; the first failure is given.
  Done send(NetlinkBatch& batch);
  // One request with answers: a dump, or a single object.
  Done ask(NetlinkBatch& batch, const std::function<void(const nlmsghdr*)>& each);

 private:
  Netlink(mnl_socket* socket, const char* name) : socket_(socket), name_(name) {}
  mnl_socket* socket_;
  // "rtnetlink" or "nfnetlink", for failures.
  const char* name_;
};

// libmnl's own loops convert void* as only C does.
template <class Each>
void each_attribute(const void* at, const void* end, Each each) {
  const auto* attribute = static_cast<const nlattr*>(at);
  const auto left = [&] {
    return static_cast<int>(static_cast<const char*>(end) - reinterpret_cast<const char*>(attribute));
  };
  for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) each(attribute);
}
template <class Each>
void each_attribute(const nlmsghdr* message, size_t offset, Each each) {
  each_attribute(mnl_nlmsg_get_payload_offset(message, offset), mnl_nlmsg_get_payload_tail(message), each);
}
template <class Each>
void each_nested(const nlattr* nest, Each each) {
  const char* payload = static_cast<const char*>(mnl_attr_get_payload(nest));
  each_attribute(payload, payload + mnl_attr_get_payload_len(nest), each);
}

// Where one message's errno and the kernel's sentence for it are.
struct Acknowledgement {
  int error;
  std::string detail;
};
Acknowledgement read_acknowledgement(const nlmsghdr* message);

}  // namespace berth::addon

#include "addon/netlink.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace berth::addon {
namespace {

// The largest message we build, and what the kernel may answer at once.
constexpr size_t message_room = 2048;
constexpr size_t receive_size = 32 * 1024;

}  // namespace

nlmsghdr* NetlinkBatch::add(uint16_t type, uint16_t flags, std::string what) {
  (void)finish();
  if (size_ + message_room > buffer_.size()) buffer_.resize(buffer_.size() * 2);
  open_ = mnl_nlmsg_put_header(buffer_.data() + size_);
  open_->nlmsg_type = type;
  open_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  names_.push_back(std::move(what));
  // The sequence number says which message an answer is for.
  open_->nlmsg_seq = static_cast<uint32_t>(names_.size());
  return open_;
}

size_t NetlinkBatch::finish() {
  if (open_ != nullptr) size_ += MNL_ALIGN(open_->nlmsg_len);
  open_ = nullptr;
  return size_;
}

Result<Netlink> Netlink::open(int protocol) {
  const char* name = protocol == NETLINK_NETFILTER ? "nfnetlink" : "rtnetlink";
  mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
  if (socket == nullptr) return fail("socket", name);
  Netlink netlink(socket, name);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) return fail("bind", name);
  int on = 1;
  (void)mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof on);
  // Acks without a copy of the request: a batch of a hundred links would not fit the receive buffer.
  (void)mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof on);
  return netlink;
}

Netlink::~Netlink() {
  if (socket_ != nullptr) (void)mnl_socket_close(socket_);
}

Acknowledgement read_acknowledgement(const nlmsghdr* message) {
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  Acknowledgement acknowledgement{-error->error, {}};
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return acknowledgement;
  size_t offset = sizeof(nlmsgerr);
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) offset += error->msg.nlmsg_len - sizeof(nlmsghdr);
  each_attribute(message, offset, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) != NLMSGERR_ATTR_MSG) return;
    const char* text = mnl_attr_get_str(attribute);
    acknowledgement.detail.assign(text, strnlen(text, mnl_attr_get_payload_len(attribute)));
  });
  return acknowledgement;
}

Done Netlink::send(NetlinkBatch& batch) {
  return ask(batch, [](const nlmsghdr*) {});
}

Done Netlink::ask(NetlinkBatch& batch, const std::function<void(const nlmsghdr*)>& each) {
  if (batch.count() == 0) return Nothing{};
  if (mnl_socket_sendto(socket_, batch.data(), batch.finish()) < 0) return fail("sendto", name_);
  Done first = Nothing{};
  size_t answered = 0;
  std::vector<uint8_t> buffer(receive_size);
  while (answered < batch.count()) {
    const ssize_t n = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("recvfrom", name_);
    int left = static_cast<int>(n);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_type == NLMSG_DONE) {
        ++answered;
      } else if (message->nlmsg_type != NLMSG_ERROR) {
        each(message);
      } else {
        ++answered;
        const Acknowledgement acknowledgement = read_acknowledgement(message);
        const size_t index = message->nlmsg_seq - 1;
        if (acknowledgement.error == 0 || !first || index >= batch.count()) continue;
        first = fail_with(acknowledgement.error, name_, batch.name(index), acknowledgement.detail);
      }
    }
  }
  return first;
}

}  // namespace berth::addon

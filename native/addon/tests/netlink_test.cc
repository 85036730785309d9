#include "addon/netlink.h"

#include <cstdint>
#include <cstring>

#include "addon/tests/check.h"

using namespace berth::addon;

TEST("messages of a batch follow each other and are numbered") {
  NetlinkBatch batch;
  for (int i = 0; i < 100; ++i) {
    nlmsghdr* message = batch.add(RTM_NEWLINK, NLM_F_CREATE, "link " + std::to_string(i));
    (void)mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, "a");
  }
  const size_t size = batch.finish();
  CHECK(batch.count() == 100 && batch.name(99) == "link 99");
  int left = static_cast<int>(size);
  uint32_t seen = 0;
  for (const auto* message = reinterpret_cast<const nlmsghdr*>(batch.data()); mnl_nlmsg_ok(message, left);
       message = mnl_nlmsg_next(message, &left)) {
    CHECK(message->nlmsg_seq == ++seen);
    CHECK((message->nlmsg_flags & NLM_F_ACK) != 0);
  }
  CHECK(seen == 100 && left == 0);
}

TEST("the kernel's own sentence is read from an answer") {
  alignas(8) uint8_t buffer[256] = {};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = NLMSG_ERROR;
  message->nlmsg_flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
  auto* error = static_cast<nlmsgerr*>(mnl_nlmsg_put_extra_header(message, sizeof(nlmsgerr)));
  error->error = -EEXIST;
  error->msg.nlmsg_len = 500;
  mnl_attr_put_strz(message, NLMSGERR_ATTR_MSG, "device exists");
  const Acknowledgement acknowledgement = read_acknowledgement(message);
  CHECK(acknowledgement.error == EEXIST && acknowledgement.detail == "device exists");
}

#include "addon/address.h"

#include <sys/socket.h>

#include "addon/tests/check.h"

using namespace berth::addon;

TEST("networks of both families are parsed") {
  const auto four = parse_network("10.89.0.1/16");
  CHECK(four && four->address.family == AF_INET && four->prefix == 16 && four->address.bytes[1] == 89);
  const auto six = parse_network("fd89::1/64");
  CHECK(six && six->address.family == AF_INET6 && six->prefix == 64 && six->address.bytes[15] == 1);
}

TEST("what is no network is refused") {
  for (const char* text : {"", "10.89.0.1", "10.89.0.1/", "10.89.0.1/33", "fd89::1/129", "10.89.0.1/-1", "10.89.0.1/1x",
                           "10.89.0/16", "10.89.0.1/0016", " 10.89.0.1/16"}) {
    CHECK(!parse_network(text));
  }
  CHECK(!parse_address(std::string("10.0.0.1\0.9", 11)));
}

TEST("a mac survives the way there and back") {
  const auto mac = parse_mac("0a:58:0A:59:ff:02");
  CHECK(mac && format_mac(*mac) == "0a:58:0a:59:ff:02");
  CHECK(!parse_mac("0a:58:0a:59:ff"));
  CHECK(!parse_mac("0a:58:0a:59:ff:0g"));
  CHECK(!parse_mac("0a-58-0a-59-ff-02"));
}

TEST("link names are what the kernel takes") {
  CHECK(valid_link_name("bv0123456789ab"));
  CHECK(valid_link_name("123456789012345"));
  for (const char* name : {"", ".", "..", "1234567890123456", "a/b", "a b", "a:b", "a\n"})
    CHECK(!valid_link_name(name));
}

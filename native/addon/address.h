// Addresses as people write them, in the kernel's bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace berth::addon {

struct IpAddress {
  int family;  // AF_INET or AF_INET6
  std::array<uint8_t, 16> bytes;
  size_t size;  // 4 or 16
};

struct IpNetwork {
  IpAddress address;
  uint8_t prefix;
};

using MacAddress = std::array<uint8_t, 6>;

std::optional<IpAddress> parse_address(const std::string& text);
// "10.89.0.1/16"; the prefix is required.
std::optional<IpNetwork> parse_network(const std::string& text);
// "0a:58:0a:59:00:02"
std::optional<MacAddress> parse_mac(const std::string& text);
std::string format_mac(const MacAddress& mac);

// What the kernel takes as a link's name: 1 to 15 bytes, no slash, no space, no colon, not "." or "..".
bool valid_link_name(const std::string& name);

}  // namespace berth::addon

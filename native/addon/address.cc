#include "addon/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cctype>
#include <cstdio>

namespace berth::addon {

std::optional<IpAddress> parse_address(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;
  IpAddress address{};
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.family = AF_INET;
    address.size = 4;
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.family = AF_INET6;
    address.size = 16;
    return address;
  }
  return std::nullopt;
}

std::optional<IpNetwork> parse_network(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const std::optional<IpAddress> address = parse_address(text.substr(0, slash));
  const std::string digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3) return std::nullopt;
  unsigned prefix = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    prefix = prefix * 10 + static_cast<unsigned>(digit - '0');
  }
  if (prefix > address->size * 8) return std::nullopt;
  return IpNetwork{*address, static_cast<uint8_t>(prefix)};
}

std::optional<MacAddress> parse_mac(const std::string& text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac{};
  for (size_t i = 0; i < 17; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (i % 3 == 2) {
      if (c != ':') return std::nullopt;
      continue;
    }
    if (!isxdigit(c)) return std::nullopt;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    mac[i / 3] = static_cast<uint8_t>(mac[i / 3] << 4 | digit);
  }
  return mac;
}

std::string format_mac(const MacAddress& mac) {
  char text[18];
  (void)snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

bool valid_link_name(const std::string& name) {
  if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
  for (const char c : name) {
    if (c == '/' || c == ':' || c == '\0' || isspace(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace berth::addon

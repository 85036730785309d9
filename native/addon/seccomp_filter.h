// Seccomp profiles to BPF by libseccomp, with the rules of the OCI specification on top.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

struct SeccompArgument {
  unsigned index;
  int op;  // enum scmp_compare
  uint64_t value;
  uint64_t value_two;
};

struct SeccompRule {
  std::vector<std::string> names;
  uint32_t action;
  std::vector<SeccompArgument> arguments;
};

struct SeccompProfile {
  uint32_t default_action = 0;
  // "SCMP_ARCH_X86_64"; the native one is always part.
  std::vector<std::string> architectures;
  std::vector<SeccompRule> rules;
};

// Bytes of struct sock_filter.
Result<std::vector<uint8_t>> compile_seccomp(const SeccompProfile& profile);

}  // namespace berth::addon

#include "addon/seccomp_filter.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <memory>

#include "addon/newer_syscalls.h"
#include "common/fd.h"
#include "common/filter_length.h"

namespace berth::addon {
namespace {

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// "SCMP_ARCH_X86_64" → "x86_64", libseccomp's own word.
std::string architecture_word(const std::string& name) {
  std::string word = name.rfind("SCMP_ARCH_", 0) == 0 ? name.substr(10) : name;
  for (char& c : word) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
  return word;
}

// Adds them to the native one and gives all.
Result<std::vector<uint32_t>> add_architectures(scmp_filter_ctx filter, const std::vector<std::string>& names) {
  std::vector<uint32_t> tokens{seccomp_arch_native()};
  for (const std::string& name : names) {
    const uint32_t token = seccomp_arch_resolve_name(architecture_word(name).c_str());
    if (token == 0) return fail_with(EINVAL, "seccomp_arch_resolve_name", name);
    const int error = seccomp_arch_add(filter, token);
    if (error == -EEXIST) continue;
    if (error != 0) return fail_with(-error, "seccomp_arch_add", name);
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<NewestSyscall> newest_named(const SeccompProfile& profile, const std::vector<uint32_t>& architectures) {
  std::vector<NewestSyscall> all;
  for (const uint32_t architecture : architectures) {
    if (architecture == SCMP_ARCH_X32) continue;
    int newest = -1;
    for (const SeccompRule& rule : profile.rules) {
      for (const std::string& name : rule.names) {
        // Negative for what libseccomp or this architecture does not have.
        newest = std::max(newest, seccomp_syscall_resolve_name_arch(architecture, name.c_str()));
      }
    }
    if (newest >= 0) all.push_back({architecture, static_cast<uint32_t>(newest)});
  }
  return all;
}

bool refuses_with_errno(uint32_t action) {
  return (action & 0xffff0000U) == SCMP_ACT_ERRNO(0);
}

bool repeats_index(const std::vector<scmp_arg_cmp>& arguments) {
  unsigned seen = 0;
  for (const scmp_arg_cmp& argument : arguments) {
    if ((seen & 1U << argument.arg) != 0) return true;
    seen |= 1U << argument.arg;
  }
  return false;
}

int add_rule(scmp_filter_ctx filter, int number, const SeccompRule& rule) {
  std::vector<scmp_arg_cmp> arguments;
  for (const SeccompArgument& argument : rule.arguments) {
    arguments.push_back({argument.index, static_cast<scmp_compare>(argument.op), argument.value, argument.value_two});
  }
  if (!repeats_index(arguments)) {
    return seccomp_rule_add_array(filter, rule.action, number, static_cast<unsigned>(arguments.size()),
                                  arguments.data());
  }
  // libseccomp has one comparison for an argument; several are alternatives, as the field's profiles mean them.
  for (const scmp_arg_cmp& argument : arguments) {
    const int error = seccomp_rule_add_array(filter, rule.action, number, 1, &argument);
    if (error != 0) return error;
  }
  return 0;
}

Done add_rules(scmp_filter_ctx filter, const SeccompProfile& profile) {
  for (const SeccompRule& rule : profile.rules) {
    // libseccomp refuses a rule that says what happens anyway.
    if (rule.action == profile.default_action) continue;
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      const int error = add_rule(filter, number, rule);
      if (error != 0) return fail_with(-error, "seccomp_rule_add", name);
    }
  }
  return Nothing{};
}

Result<std::vector<uint8_t>> export_bpf(scmp_filter_ctx filter) {
  const Fd file(memfd_create("berth-seccomp", MFD_CLOEXEC));
  if (!file) return fail("memfd_create");
  const int error = seccomp_export_bpf(filter, file.get());
  if (error != 0) return fail_with(-error, "seccomp_export_bpf");
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0) return fail("lseek");
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  if (pread(file.get(), bytes.data(), bytes.size(), 0) != size) return fail("pread");
  return bytes;
}

}  // namespace

Result<std::vector<uint8_t>> compile_seccomp(const SeccompProfile& profile) {
  const Filter filter(seccomp_init(profile.default_action));
  if (!filter) return fail_with(EINVAL, "seccomp_init", "", "unknown default action");
  Result<std::vector<uint32_t>> architectures = add_architectures(filter.get(), profile.architectures);
  if (!architectures) return architectures.failure();
  // A binary tree instead of a list halves the time the kernel takes to load it.
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const Done rules = add_rules(filter.get(), profile);
  if (!rules) return rules.failure();
  Result<std::vector<uint8_t>> bpf = export_bpf(filter.get());
  if (!bpf) return bpf;
  if (refuses_with_errno(profile.default_action)) {
    const std::vector<sock_filter> before = refuse_newer(newest_named(profile, *architectures));
    const size_t size = before.size() * sizeof(sock_filter);
    bpf->insert(bpf->begin(), size, 0);
    memcpy(bpf->data(), before.data(), size);
  }
  const size_t count = bpf->size() / sizeof(sock_filter);
  if (count <= kFilterInstructions) return bpf;
  const std::string most = std::to_string(kFilterInstructions);
  return fail_with(E2BIG, "seccomp", "",
                   "the filter has " + std::to_string(count) + " instructions, more than " + most);
}

}  // namespace berth::addon

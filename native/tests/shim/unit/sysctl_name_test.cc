#include "shim/sysctl_name.h"

#include "tests/shim/unit/check.h"

namespace berth {
namespace {

bool accepted(std::string_view name) {
  Path path;
  return sysctl_path(name, path);
}

TEST("a dotted name becomes a path below sys") {
  Path path;
  CHECK(sysctl_path("net.ipv4.ip_unprivileged_port_start", path));
  CHECK(path.view() == "sys/net/ipv4/ip_unprivileged_port_start");
}

TEST("a name that could mean another file is refused") {
  for (const std::string_view name :
       {"", ".", "net.", ".net", "net..core", "net/core", "net.core/../../kernel", "../kernel.core_pattern",
        "a+kernel.core_pattern=|x", "net.core.somaxconn\n", "net.core somaxconn", "kernel.shm*"}) {
    CHECK(!accepted(name));
  }
  CHECK(!accepted(std::string_view("net\0x", 5)));
  char long_name[300];
  for (char& c : long_name) c = 'a';
  CHECK(!accepted({long_name, sizeof long_name}));
}

TEST("every parameter has the namespace it belongs to") {
  CHECK(sysctl_scope("net.core.somaxconn") == SysctlScope::kNet);
  CHECK(sysctl_scope("kernel.shm_rmid_forced") == SysctlScope::kIpc);
  CHECK(sysctl_scope("kernel.msgmax") == SysctlScope::kIpc);
  CHECK(sysctl_scope("kernel.sem") == SysctlScope::kIpc);
  CHECK(sysctl_scope("fs.mqueue.msg_max") == SysctlScope::kIpc);
  CHECK(sysctl_scope("kernel.domainname") == SysctlScope::kUts);
}

TEST("what belongs to the node has none") {
  for (const std::string_view name : {"kernel.core_pattern", "vm.overcommit_memory", "fs.file-max", "kernel.panic",
                                      "kernel.semaphores", "network.x", "netfoo"}) {
    CHECK(sysctl_scope(name) == SysctlScope::kNone);
  }
}

}  // namespace
}  // namespace berth

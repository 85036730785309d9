#include "common/group_name.h"

#include "check.h"

using berth::names_group;

TEST("a process is in a group whose whole name stands in one of its lines") {
  const char lines[] = "9:pids:/a\n6:freezer:/kubepods/pod1/c\n0::/\n";
  CHECK(names_group(lines, "/kubepods/pod1/c"));
  CHECK(names_group(lines, "/kubepods/pod1"));
  CHECK(names_group(lines, "/a"));
  CHECK(names_group("6:freezer:/kubepods/pod1/c", "/kubepods/pod1/c"));
}

TEST("a part of a name is another group") {
  CHECK(!names_group("6:freezer:/kubepods/pod1/c10\n", "/kubepods/pod1/c1"));
  CHECK(!names_group("6:freezer:/kubepods/pod1\n", "/kubepods/pod1/c1"));
  CHECK(!names_group("", "/c"));
  CHECK(!names_group("6:freezer:/\n", ""));
}

TEST("what is in front of a hierarchy that is mounted in part does not matter") {
  CHECK(names_group("6:freezer:/docker/x/kubepods/pod1/c/exec-1\n", "/kubepods/pod1/c"));
}

TEST("a directory that is no cgroup of ours names nothing that a process could be in") {
  berth::GroupName name;
  CHECK(!name.of("/proc/nobody/here"));
  CHECK(!name.holds(1));
}

#include "floor/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "floor/check.h"

namespace floor_bench {
namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";

void write_file(const char* path, const char* text) {
  const int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
  must(write(fd, text, strlen(text)), path);
  close(fd);
}

bool is(const char* a, const char* b) {
  return strcmp(a, b) == 0;
}

// A cpuset is born empty and takes no task: it inherits by hand.
void inherit_cpuset(const char* group) {
  const char* slash = strrchr(group, '/');
  const int parent = slash == nullptr ? 0 : static_cast<int>(slash - group);
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    char value[256] = "";
    const Path from("%s/cpuset/%.*s/%s", kRoot, parent, group, file);
    const int fd = must(open(from, O_RDONLY | O_CLOEXEC), from);
    const ssize_t length = must(read(fd, value, sizeof value - 1), from);
    close(fd);
    value[length] = '\0';
    write_file(Path("%s/cpuset/%s/%s", kRoot, group, file), value);
  }
}

}  // namespace

Hierarchies Hierarchies::find() {
  Hierarchies found;
  DIR* root = opendir(kRoot);
  if (root == nullptr) fail("floor: %s", kRoot);
  while (const dirent* entry = readdir(root)) {
    // A link is a second name of a joint hierarchy.
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (access(Path("%s/%s/tasks", kRoot, entry->d_name), W_OK) != 0) continue;
    if (found.count == kMost || strlen(entry->d_name) >= sizeof found.names[0]) fail("floor: too many hierarchies");
    strcpy(found.names[found.count++], entry->d_name);
  }
  closedir(root);
  if (found.count == 0) fail("floor: only control groups of version 1 are measured");
  return found;
}

void make_group(const Hierarchies& hierarchies, const char* group) {
  for (int i = 0; i < hierarchies.count; i++) {
    const Path dir("%s/%s/%s", kRoot, hierarchies.names[i], group);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) fail("floor: mkdir %s", dir.text);
    if (is(hierarchies.names[i], "cpuset")) inherit_cpuset(group);
  }
}

void limit_group(const char* group) {
  write_file(Path("%s/memory/%s/memory.limit_in_bytes", kRoot, group), "134217728");
  write_file(Path("%s/cpu/%s/cpu.shares", kRoot, group), "102");
  write_file(Path("%s/devices/%s/devices.deny", kRoot, group), "a");
  const Path allow("%s/devices/%s/devices.allow", kRoot, group);
  for (const char* rule : {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
                           "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"}) {
    write_file(allow, rule);
  }
}

void enter_group(const Hierarchies& hierarchies, const char* group) {
  for (int i = 0; i < hierarchies.count; i++) {
    write_file(Path("%s/%s/%s/tasks", kRoot, hierarchies.names[i], group), "0");
  }
}

void remove_group(const Hierarchies& hierarchies, const char* group) {
  for (int i = 0; i < hierarchies.count; i++) {
    const Path dir("%s/%s/%s", kRoot, hierarchies.names[i], group);
    // The last task has been waited for, yet the kernel may still hold the group for a moment.
    while (rmdir(dir) != 0) {
      if (errno != EBUSY) fail("floor: rmdir %s", dir.text);
      usleep(200);
    }
  }
}

}  // namespace floor_bench

// Numbers of many containers in one trip: what the kernel counts for a control group, how large a writable layer is,
// how many files processes have open.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "addon/failure.h"

namespace berth::addon {

// The path of a file is before + directory + after.
struct SharedFile {
  std::string before;
  std::string after;
  // What is beyond the limit is left out, and no reason to call the file unreadable.
  bool cut = false;
};

// For each directory the contents of the same files, each followed by a zero byte. A file that is missing, too long or
// unreadable is the single byte 1: one broken group must not hide the others.
std::vector<std::string> read_each(const std::vector<std::string>& directories, const std::vector<SharedFile>& files,
                                   size_t limit);

struct TreeUsage {
  // Of blocks, as du counts them. A file with several links counts in parts.
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  // False: there were more than `limit` inodes, or something could not be read.
  bool complete = true;
};

// Walks a tree without following links. What vanishes meanwhile is not counted.
Result<TreeUsage> tree_usage(const std::string& path, uint64_t limit);

struct Descriptors {
  uint64_t open = 0;
  uint64_t sockets = 0;
};

// Of all processes in a cgroup.procs file, counting at most `limit`.
Result<Descriptors> count_descriptors(const std::string& procs_file, uint64_t limit);

// Gives a directory a project id of its own, inherited by all that is made in it, if the file system accounts projects
// and nobody has the id. Gives the errno: ESRCH, EOPNOTSUPP or ENOTTY where there is no such accounting.
int start_project(const std::string& directory);

// What lies in such a directory, by the file system's own books.
Result<TreeUsage> project_usage(const std::string& directory);

// The thread that calls this gives way to everybody else, for processor and disk.
void become_idle();

}  // namespace berth::addon

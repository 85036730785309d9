// File operations in order, for control groups and the small files of pods: dozens of them in one trip off the main
// thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace berth::addon {

struct FileOperation {
  enum class Kind { make_directory, remove_directory, remove_tree, write, create, copy, read, list, kill, project };
  Kind kind = Kind::read;
  std::string path;
  std::string data;
  // Where a copy goes.
  std::string to;
  mode_t mode = 0755;
  size_t limit = 0;
  // For a kill: processes may come and go meanwhile.
  bool held = false;
  // Whether a failure stops the batch: never with `any_optional`, and not for the errno names in `optional`.
  bool any_optional = false;
  std::vector<std::string> optional;
};

struct FileOutcome {
  int error = 0;
  std::string data;
};

// One outcome per operation; after a failure that stops the batch the rest are ECANCELED.
std::vector<FileOutcome> run_batch(const std::vector<FileOperation>& operations);

}  // namespace berth::addon

// Control groups of version 1: one directory in every hierarchy.
#pragma once

namespace floor_bench {

struct Hierarchies {
  static constexpr int kMost = 16;
  char names[kMost][32];
  int count = 0;

  static Hierarchies find();
};

// `group` is a path below each hierarchy; its parent must be there.
void make_group(const Hierarchies& hierarchies, const char* group);
// What a container with a memory limit, CPU shares and the usual devices gets.
void limit_group(const char* group);
// Moves the caller, which has one thread.
void enter_group(const Hierarchies& hierarchies, const char* group);
void remove_group(const Hierarchies& hierarchies, const char* group);

}  // namespace floor_bench

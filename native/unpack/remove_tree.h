// rm -r by descriptors.
#pragma once

#include <cstdint>

namespace berth::unpack {

// Removes `name` in `directory`, be it a tree. Counts what went. False with errno.
bool remove_tree(int directory, const char* name, uint64_t* removed);

}  // namespace berth::unpack

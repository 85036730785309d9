// /dev/null as 0, 1 and 2 of a container's processes: never the node's inode, whose mode, owner and times a container's
// root could change through a descriptor.
#pragma once

#include "common/fd.h"

namespace berth {

bool is_null_device(int fd);
// The pod's own (pause.h), through its read-only mount; `pods` is an O_PATH descriptor of it. -1: the node's, for
// processes of ours that no container can reach.
Fd open_null_device(int pods);
// Replaces those of 0, 1 and 2 that are a null device by the one of this root, where that is one: programs compare
// what they write to with their /dev/null. Whatever else lies there is left alone.
void take_null_of_root(int root);

}  // namespace berth

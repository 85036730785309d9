// Pods whose root is not the node's (user_namespaces(7)). Such a pod, and each of its containers with a pid namespace
// of its own, is made in two steps: a first child does what needs the node's privileges, enters the user namespace and
// clones the second from inside, so that the namespaces made there belong to it. The second is the shim's own child
// (CLONE_PARENT); its number is in the shared page before it runs.
#pragma once

#include <sys/types.h>

#include "common/fd.h"
#include "shim/child.h"
#include "shim/messages.h"

namespace berth {

// Where the pod's ids lie on the node: id n inside is `host` + n, for n below `length`.
struct IdRange {
  uint32_t host = 0;
  uint32_t length = 0;
};

// One range each that begins with root: all that Kubernetes asks for (KEP-127).
bool id_range_of(const berth_shim_IdMap* maps, size_t count, IdRange& range);

// By the shim, for a child it has just cloned with CLONE_NEWUSER.
bool write_id_maps(pid_t child, const IdRange& uids, const IdRange& gids);

// By a child that is in the namespace: from nobody to its root.
bool become_root_inside(Fault& fault);

// The second step: 0 in the new child. The first has nothing left to do but to end.
pid_t clone_second(ChildPage& page, uint64_t namespaces);

// A detached mount whose files belong to the pod's ids instead of the node's (mount_setattr(2), MOUNT_ATTR_IDMAP).
bool map_tree(int tree, int user_namespace, bool recursive);

}  // namespace berth

// Paths inside a container's root. Nothing in the root, however it changes under us, leads out of it.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "common/fd.h"
#include "common/text.h"
#include "shim/fault.h"

namespace berth {

enum class Kind { kDirectory, kFile };

// Opens (O_PATH) what `path` means with `root` as /. Empty with errno when it is not there.
Fd open_in_root(int root, std::string_view path);
// The same without following any symlink.
Fd open_in_root_plainly(int root, std::string_view path);
// Which mount something lies on, and which inode of it it is.
struct Place {
  uint64_t mount = 0, inode = 0;
  bool operator==(const Place&) const = default;
};
Place place_of(int fd);

// The mounts that are the container's own: its root, and its /dev (0: it has none). All others are somebody's volume,
// or a file system of the kernel's.
struct OwnMounts {
  uint64_t root = 0, dev = 0;
  bool has(const Place& place) const { return place.mount == root || (dev != 0 && place.mount == dev); }
};

// Opens it and makes what is missing: directories (0755), and an empty file at the end for kFile. A link that leads to
// what is missing has that made where it leads, inside the root; `..` below a missing name takes back the name. With
// `own` nothing is made on any other mount: EXDEV in errno then, and no fault.
Fd make_in_root(int root, std::string_view path, Kind kind, Fault& fault, const OwnMounts* own = nullptr);
// The file system type of what is open.
long filesystem_of(int fd);

}  // namespace berth

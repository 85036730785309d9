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
// Opens it and makes what is missing: directories (0755), and an empty file at the end for kFile.
Fd make_in_root(int root, std::string_view path, Kind kind, Fault& fault);
// The file system type of what is open.
long filesystem_of(int fd);

}  // namespace berth

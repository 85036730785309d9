// The layer's directory tree, reached from its root by descriptors only: no path of ours is ever resolved outside it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.h"
#include "unpack/failure.h"

namespace berth::unpack {

struct DirectoryRef {
  int fd = -1;  // O_PATH; borrowed until the next call for the same kind of directory
};

class Tree {
 public:
  // `root` is an O_PATH descriptor of the layer's root.
  explicit Tree(Fd root) : root_(std::move(root)) {}

  // The directory at a clean relative path. Symlinks of the layer are followed inside it, as a container would follow
  // them: the directory above the root is the root. Missing directories are made (0755, root) and remembered as
  // implied.
  bool open_or_make(const std::string& path, DirectoryRef* directory, Failure* failure);
  // The same, but nothing is made: a missing one leaves fd at -1.
  bool open_existing(const std::string& path, DirectoryRef* directory, Failure* failure);

  // Removes whatever has that name in `directory`, trees included.
  bool remove(int directory, const char* name, Failure* failure);

  // A directory of the layer that was made here is not implied any more: its entry has come.
  void declare(const std::string& path) { implied_.erase(path); }
  void mark_opaque(const std::string& path) { opaque_.insert(path); }

  // Directories that no entry declared and that are opaque, as they stand at the end.
  std::vector<std::string> implied() const { return still_directories(implied_); }
  std::vector<std::string> opaque() const { return still_directories(opaque_); }

  int root() const { return root_.get(); }
  // What exists by now: files, directories, links, devices.
  uint64_t inodes() const { return inodes_; }
  size_t opaque_count() const { return opaque_.size(); }
  void count_made() { inodes_++; }

 private:
  // The last directory of its kind: entries come in the order of directories. A stale one stays open until the next
  // call, because the caller may still hold it.
  struct Cached {
    std::string path;
    Fd fd;
    bool stale = false;
  };
  enum class Missing { kMake, kGiveUp };

  bool open_cached(const std::string& path, Cached* cache, Missing missing, DirectoryRef* directory, Failure* failure);
  bool walk(const std::string& path, Missing missing, Fd* found, Failure* failure);
  bool make_implied(int parent, const std::string& name, const std::string& path, Failure* failure);
  bool replace_whiteout(int parent, const std::string& name, const std::string& path, Failure* failure);
  std::vector<std::string> still_directories(const std::set<std::string>& paths) const;

  Fd root_;
  Cached for_entries_;
  Cached for_links_;
  std::set<std::string> implied_;
  std::set<std::string> opaque_;
  uint64_t inodes_ = 0;
};

inline constexpr size_t kMaxListed = 65536;

// An overlay whiteout: character device 0:0.
bool is_whiteout(const struct stat& status);

// Makes the directory behind a readable descriptor opaque for overlayfs.
bool set_opaque(int directory, Failure* failure);

// A readable descriptor of directory `name`, which may not be a symlink.
Fd open_directory(int parent, const char* name);

}  // namespace berth::unpack

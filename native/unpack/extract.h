// The writing half: entries of the tar stream become files below the root.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <string>
#include <vector>

#include "unpack/chunk_pipe.h"
#include "unpack/names.h"
#include "unpack/options.h"
#include "unpack/result.h"
#include "unpack/tree.h"

namespace berth::unpack {

class Extractor {
 public:
  Extractor(const Options& options, Tree* tree, ChunkPipe* pipe) : options_(options), tree_(tree), pipe_(pipe) {}

  // Writes every entry, then reads the stream to its end. Fills bytes, inodes, implied and opaque of the result.
  bool run(Result* result, Failure* failure);

 private:
  struct Attributes {
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0;
    timespec times[2] = {};
  };
  struct LaterTime {
    std::string path;
    timespec times[2];
  };

  static ssize_t on_read(archive* reader, void* self, const void** buffer);

  bool extract_all(archive* reader, Failure* failure);
  bool extract_one(archive* reader, archive_entry* entry, Failure* failure);
  bool place(archive* reader, archive_entry* entry, const EntryName& name, Failure* failure);
  bool place_directory(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                       Failure* failure);
  bool place_file(archive* reader, archive_entry* entry, const EntryName& name, int parent,
                  const Attributes& attributes, Failure* failure);
  bool place_link(archive_entry* entry, const EntryName& name, int parent, Failure* failure);
  bool place_symlink(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                     Failure* failure);
  bool place_device(archive_entry* entry, const EntryName& name, int parent, const Attributes& attributes,
                    Failure* failure);
  bool place_whiteout(const EntryName& name, Failure* failure);
  bool place_opaque(const EntryName& name, Failure* failure);
  bool write_data(archive* reader, archive_entry* entry, int fd, uint64_t size, Failure* failure);
  bool count_data(uint64_t bytes, Failure* failure);
  bool make_way(int parent, const EntryName& name, Failure* failure);
  bool finish_directories(Failure* failure);
  bool read_rest(archive* reader, Failure* failure);
  bool read_attributes(archive_entry* entry, Attributes* attributes, Failure* failure);

  const Options& options_;
  Tree* tree_;
  ChunkPipe* pipe_;
  const uint8_t* chunk_ = nullptr;  // as last handed to libarchive
  size_t chunk_size_ = 0;
  uint64_t received_ = 0;  // bytes of the stream up to the end of chunk_
  uint64_t entries_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t disk_bytes_ = 0;
  uint64_t later_bytes_ = 0;
  uint64_t ignored_ = 0;
  std::vector<LaterTime> later_;
};

bool all_zeros(const uint8_t* data, size_t size);

// Sets the attributes that an archive may set; what the file system does not support is left out.
bool set_xattrs(archive_entry* entry, int fd, Failure* failure);

}  // namespace berth::unpack

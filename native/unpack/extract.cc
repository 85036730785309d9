#include "unpack/extract.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>

namespace berth::unpack {
namespace {

struct ReaderCloser {
  archive* reader;
  ~ReaderCloser() { archive_read_free(reader); }
};

bool archive_failure(archive* reader, Failure* failure) {
  const char* text = archive_error_string(reader);
  return failure->set(Code::kInvalid, text ? std::string("the tar stream is corrupt: ") + text
                                           : std::string("the tar stream is corrupt"));
}

}  // namespace

// Equal to itself shifted by one, and zero at the start.
bool all_zeros(const uint8_t* data, size_t size) {
  return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

bool Extractor::run(Result* result, Failure* failure) {
  archive* reader = archive_read_new();
  if (!reader) return failure->set(Code::kSystem, "no memory for the tar reader");
  const ReaderCloser closer{reader};
  archive_read_support_format_tar(reader);
  archive_read_support_format_empty(reader);
  if (archive_read_open(reader, this, nullptr, on_read, nullptr) != ARCHIVE_OK) return archive_failure(reader, failure);
  if (!extract_all(reader, failure) || !finish_directories(failure) || !read_rest(reader, failure)) {
    // The tar reader saw an end of file; what the source says about it is the better reason.
    if (pipe_->failure()) *failure = pipe_->failure();
    return false;
  }
  result->bytes = disk_bytes_ + tree_->inodes() * 256;
  result->inodes = tree_->inodes();
  result->ignored = ignored_;
  result->implied = tree_->implied();
  result->opaque = tree_->opaque();
  return true;
}

ssize_t Extractor::on_read(archive*, void* self, const void** buffer) {
  auto* extractor = static_cast<Extractor*>(self);
  extractor->chunk_ = extractor->pipe_->next(&extractor->chunk_size_);
  extractor->received_ += extractor->chunk_size_;
  *buffer = extractor->chunk_;
  return static_cast<ssize_t>(extractor->chunk_size_);
}

bool Extractor::extract_all(archive* reader, Failure* failure) {
  while (true) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader, &entry);
    if (status == ARCHIVE_EOF) return true;
    if (status == ARCHIVE_RETRY) continue;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      // The last name read is the best hint of where.
      return archive_failure(reader, failure);
    }
    bool ok = extract_one(reader, entry, failure);
    if (ok && tree_->opaque_count() > kMaxListed) {
      ok = failure->set(Code::kLimit, "too many directories hide what is below");
    }
    if (!ok) {
      const char* name = archive_entry_pathname(entry);
      failure->entry = name ? name : "";
      return false;
    }
  }
}

bool Extractor::extract_one(archive* reader, archive_entry* entry, Failure* failure) {
  if (++entries_ > options_.max_entries) {
    const std::string most = std::to_string(options_.max_entries);
    return failure->set_limit("max-entries", "the layer has too many entries, more than " + most);
  }
  const char* raw = archive_entry_pathname(entry);
  if (!raw) return failure->set(Code::kInvalid, "the name of an entry cannot be read");
  EntryName name;
  if (!parse_entry_name(raw, options_.names, &name, failure)) return false;
  switch (name.kind) {
    case NameKind::kIgnored:
      return true;
    case NameKind::kWhiteout:
      return place_whiteout(name, failure);
    case NameKind::kOpaque:
      return place_opaque(name, failure);
    case NameKind::kRoot:
    case NameKind::kPlain:
      return place(reader, entry, name, failure);
  }
  return true;
}

bool Extractor::place(archive* reader, archive_entry* entry, const EntryName& name, Failure* failure) {
  Attributes attributes;
  if (!read_attributes(entry, &attributes, failure)) return false;
  const mode_t type = archive_entry_filetype(entry);
  if (name.kind == NameKind::kRoot) {
    if (type != AE_IFDIR || archive_entry_hardlink(entry)) {
      return failure->set(Code::kInvalid, "the root of a layer must be a directory");
    }
    return place_directory(entry, name, tree_->root(), attributes, failure);
  }
  DirectoryRef parent;
  if (!tree_->open_or_make(name.parent, &parent, failure)) return false;
  if (archive_entry_hardlink(entry)) return place_link(entry, name, parent.fd, failure);
  switch (type) {
    case AE_IFDIR:
      return place_directory(entry, name, parent.fd, attributes, failure);
    case AE_IFREG:
      return place_file(reader, entry, name, parent.fd, attributes, failure);
    case AE_IFLNK:
      return place_symlink(entry, name, parent.fd, attributes, failure);
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
      return place_device(entry, name, parent.fd, attributes, failure);
    default:
      return failure->set(Code::kInvalid, "an entry of an unknown kind");
  }
}

bool Extractor::read_attributes(archive_entry* entry, Attributes* attributes, Failure* failure) {
  const int64_t uid = archive_entry_uid(entry);
  const int64_t gid = archive_entry_gid(entry);
  // (uid_t)-1 means "leave it" to chown.
  if (uid < 0 || uid >= int64_t{UINT32_MAX} || gid < 0 || gid >= int64_t{UINT32_MAX}) {
    return failure->set(Code::kInvalid, "a user or group id is out of range");
  }
  attributes->uid = static_cast<uid_t>(uid);
  attributes->gid = static_cast<gid_t>(gid);
  attributes->mode = archive_entry_perm(entry) & 07777;
  timespec time = {};
  if (archive_entry_mtime_is_set(entry)) {
    time.tv_sec = archive_entry_mtime(entry);
    time.tv_nsec = std::clamp(archive_entry_mtime_nsec(entry), 0L, 999'999'999L);
  }
  attributes->times[0] = time;
  attributes->times[1] = time;
  return true;
}

// Now that nothing is written into them any more, directories get the times that the archive gave them.
bool Extractor::finish_directories(Failure* failure) {
  for (const LaterTime& later : later_) {
    DirectoryRef directory;
    Failure gone;
    // A later entry may have put something else there.
    if (!tree_->open_existing(later.path, &directory, &gone) || directory.fd < 0) continue;
    const Fd readable = open_directory(directory.fd, ".");
    if (!readable) return failure->set_errno("open a directory for its time");
    if (futimens(readable.get(), later.times) != 0) return failure->set_errno("set the time of a directory");
  }
  return true;
}

// A tar ends with zeros. What else is after its end (another tar, say) no reader of layers looks at: it belongs to what
// the digests are of, and is told.
bool Extractor::read_rest(archive* reader, Failure* failure) {
  const uint64_t consumed = static_cast<uint64_t>(std::max<int64_t>(0, archive_filter_bytes(reader, 0)));
  size_t skip = chunk_size_;
  if (consumed <= received_) skip = chunk_size_ - std::min<uint64_t>(chunk_size_, received_ - consumed);
  while (chunk_size_ > 0) {
    const uint8_t* rest = chunk_ + skip;
    const size_t size = chunk_size_ - skip;
    if (ignored_ > 0) {
      ignored_ += size;
    } else if (!all_zeros(rest, size)) {
      ignored_ =
          static_cast<uint64_t>(rest + size - std::find_if(rest, rest + size, [](uint8_t byte) { return byte != 0; }));
    }
    chunk_ = pipe_->next(&chunk_size_);
    skip = 0;
  }
  if (!pipe_->failure()) return true;
  *failure = pipe_->failure();
  return false;
}

}  // namespace berth::unpack

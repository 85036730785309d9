// berth-unpack: one layer from fd 0 into the directory fd 4, the result as a line of JSON on fd 3. See README.md.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "unpack/chunk_pipe.h"
#include "unpack/extract.h"
#include "unpack/options.h"
#include "unpack/result.h"
#include "unpack/sandbox.h"
#include "unpack/source.h"
#include "unpack/tree.h"

namespace berth::unpack {
namespace {

constexpr int kStreamFd = 0;
constexpr int kResultFd = 3;
constexpr int kDestinationFd = 4;
// As much as a pipe may have without special rights: fewer turns between us and who fills it.
constexpr int kPipeSize = 1 << 20;

struct SourceThread {
  const Options* options;
  ChunkPipe pipe;
  StreamFacts facts;
  // Held by main until the filter is in place: not one byte of the layer is looked at before.
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
};

void* run_source_thread(void* argument) {
  auto* source = static_cast<SourceThread*>(argument);
  pthread_mutex_lock(&source->gate);
  pthread_mutex_unlock(&source->gate);
  run_source(kStreamFd, *source->options, kResultFd, &source->pipe, &source->facts);
  return nullptr;
}

// Names are bytes. In a UTF-8 locale libarchive hands them on as they are; in the plain C locale it would refuse those
// that are not ASCII. Loaded before the root changes.
void use_utf8() {
  for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
    if (setlocale(LC_CTYPE, name)) return;
  }
}

bool check_digest(const std::string& expected, const std::string& actual, const char* of, Failure* failure) {
  if (expected.empty() || expected == actual) return true;
  return failure->set(Code::kDigest, std::string(of) + " is " + actual + ", not " + expected);
}

bool unpack(SourceThread* source, Result* result, Failure* failure) {
  const Options& options = *source->options;
  if (!enter_sandbox(kDestinationFd, failure)) return false;
  Fd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failure->set_errno("open the root");
  pthread_mutex_lock(&source->gate);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, run_source_thread, source);
  if (error != 0) {
    errno = error;
    return failure->set_errno("start the reading thread");
  }
  if (!confine_system_calls(failure)) return false;
  pthread_mutex_unlock(&source->gate);
  Tree tree(std::move(root));
  Extractor extractor(options, &tree, &source->pipe);
  if (!extractor.run(result, failure)) return false;
  pthread_join(thread, nullptr);
  result->compressed = source->facts.compressed;
  result->diff_id = source->facts.diff_id;
  result->stream_bytes = source->facts.bytes;
  return check_digest(options.expect_compressed, result->compressed, "the digest of the layer", failure) &&
         check_digest(options.expect_diff_id, result->diff_id, "the digest of the uncompressed layer", failure);
}

int run(int argc, char** argv) {
  Options options;
  std::string error;
  if (!parse_options(argc, argv, &options, &error)) {
    error += '\n';
    write_line(STDERR_FILENO, error);
    return 2;
  }
  if (fcntl(kResultFd, F_GETFD) < 0 || fcntl(kDestinationFd, F_GETFD) < 0) {
    write_line(STDERR_FILENO, "berth-unpack: fd 3 (result) and fd 4 (destination) must be open; see README.md\n");
    return 2;
  }
  syscall(SYS_close_range, kDestinationFd + 1, ~0U, 0);
  // Refused for a file, and where the user has many pipes: then it stays as it is.
  fcntl(kStreamFd, F_SETPIPE_SZ, kPipeSize);
  use_utf8();
  auto* source = new SourceThread{&options, {}, {}};
  Result result;
  Failure failure;
  const bool ok = unpack(source, &result, &failure);
  write_line(kResultFd, ok ? to_json(result) : to_json(failure));
  // The reading thread may be in the middle of a read that never ends; nobody waits for it.
  _exit(ok ? 0 : 1);
}

}  // namespace
}  // namespace berth::unpack

int main(int argc, char** argv) {
  // Its libraries are there: berthd asks before it needs it.
  if (argc == 2 && std::string_view(argv[1]) == "--check") return 0;
  return berth::unpack::run(argc, argv);
}

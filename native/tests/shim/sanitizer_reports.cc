// Part of the shim that is built with sanitizers, and of no other: what a sanitizer finds in any of its processes goes
// into a file that the harness reads. The file is mapped before anything else happens, so that it needs neither a
// descriptor nor a path later: the shim closes what it does not know, its children change their roots, and pause may
// make hardly a call.
#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr size_t kRoom = 256 * 1024;

// The same page in every process that descends from the one that was started.
struct Reports {
  std::atomic<size_t> used;
  char text[kRoom - sizeof(std::atomic<size_t>)];
};
Reports* reports = nullptr;

void keep(const char* words) {
  if (reports == nullptr) return;
  const size_t length = strlen(words);
  const size_t at = reports->used.fetch_add(length);
  if (at < sizeof reports->text) strncpy(reports->text + at, words, sizeof reports->text - at);
}

void keep_with_process(const char* words) {
  char name[17] = "";
  prctl(PR_GET_NAME, name);
  char head[64];
  (void)snprintf(head, sizeof head, "\n[%s, process %d]\n", name, getpid());
  keep(head);
  keep(words);
}

// Also for what has no report of its own, such as an allocator that got no memory.
void keep_end() {
  keep_with_process("ended by a sanitizer\n");
}

[[gnu::constructor]] void open_reports() {
  const char* path = getenv("BERTH_SANITIZER_REPORTS");
  const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* map = ftruncate(fd, kRoom) == 0 ? mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  if (map == MAP_FAILED) return;
  reports = static_cast<Reports*>(map);
  __asan_set_error_report_callback(keep_with_process);
  __sanitizer_set_death_callback(keep_end);
}

}  // namespace

extern "C" {

// No leak detector: the shim's children end by execve or _exit with all that they have.
const char* __asan_default_options() {
  return "detect_leaks=0:detect_stack_use_after_return=0";
}

// UBSan's library is another one and knows no callback with the words, but these (sanitizer_common has no header for
// them).
void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file, unsigned* line,
                                     unsigned* column, char** address);

void __ubsan_on_report() {
  const char *kind = "", *message = "", *file = "";
  unsigned line = 0, column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  char words[1024];
  (void)snprintf(words, sizeof words, "%s:%u:%u: %s: %s\n", file, line, column, kind, message);
  keep_with_process(words);
}
}

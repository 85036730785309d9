#include "addon/usage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "addon/files.h"
#include "addon/tests/check.h"
#include "common/fd.h"

using namespace berth;
using namespace berth::addon;

namespace {

std::string temporary_directory() {
  char name[] = "/tmp/berth-usage-XXXXXX";
  return mkdtemp(name);
}

void write_to(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  CHECK(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

void remove_all(const std::string& path) {
  FileOperation remove;
  remove.kind = FileOperation::Kind::remove_tree;
  remove.path = path;
  remove.limit = 1000;
  CHECK(run_batch({remove})[0].error == 0);
}

}  // namespace

TEST("the same files of many directories come as one text each, and a missing one hides no other") {
  const std::string root = temporary_directory();
  for (const char* name : {"/a", "/b"}) CHECK(mkdir((root + name).c_str(), 0700) == 0);
  write_to(root + "/a/one", "1\n");
  write_to(root + "/a/two", "22");
  write_to(root + "/b/two", "too long for the limit");
  const std::vector<SharedFile> files{{root, "/one"}, {root, "/two"}};
  const auto texts = read_each({"/a", "/b", "/none"}, files, 8);
  CHECK(texts.size() == 3);
  CHECK(texts[0] == std::string("1\n\0"
                                "22\0",
                                6));
  CHECK(texts[1] == std::string("\1\0\1\0", 4));
  CHECK(texts[2] == std::string("\1\0\1\0", 4));
  const auto cut = read_each({"/a", "/b", "/none"}, {{root, "/one", true}, {root, "/two", true}}, 8);
  CHECK(cut[0] == texts[0]);
  CHECK(cut[1] == std::string("\1\0too long\0", 11));
  CHECK(cut[2] == texts[2]);
  remove_all(root);
}

TEST("a tree is measured without following links, hard links once, and no further than the limit") {
  const std::string root = temporary_directory();
  CHECK(mkdir((root + "/in").c_str(), 0700) == 0);
  write_to(root + "/in/file", std::string(64 * 1024, 'x'));
  const Result<TreeUsage> before = tree_usage(root, 100);
  CHECK(before);
  CHECK(link((root + "/in/file").c_str(), (root + "/again").c_str()) == 0);
  CHECK(symlink("/usr", (root + "/link").c_str()) == 0);
  Result<TreeUsage> usage = tree_usage(root, 100);
  CHECK(usage && usage->complete && usage->inodes == 5);
  CHECK(usage->bytes >= 64 * 1024 && usage->bytes < 128 * 1024);
  usage = tree_usage(root, 2);
  CHECK(usage && !usage->complete && usage->inodes == 2);
  CHECK(tree_usage(root + "/link", 10).failure().error == ENOTDIR);
  CHECK(tree_usage(root + "/none", 10).failure().error == ENOENT);
  remove_all(root);
}

TEST("open files and sockets of listed processes are counted, and processes that are gone are not") {
  const std::string root = temporary_directory();
  write_to(root + "/procs", std::to_string(getpid()) + "\n999999999\n");
  Result<Descriptors> before = count_descriptors(root + "/procs", 1000);
  const Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd one(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Result<Descriptors> after = count_descriptors(root + "/procs", 1000);
  CHECK(before && after);
  CHECK(after->open == before->open + 2);
  CHECK(after->sockets == before->sockets + 1);
  CHECK(count_descriptors(root + "/procs", 1)->open == 1);
  CHECK(count_descriptors(root + "/none", 1).failure().error == ENOENT);
  remove_all(root);
}

TEST("a directory without a project of ours has no books") {
  const std::string root = temporary_directory();
  CHECK(!project_usage(root));
  CHECK(project_usage(root + "/none").failure().error == ENOENT);
  CHECK(start_project(root + "/none") == ENOENT);
  remove_all(root);
}

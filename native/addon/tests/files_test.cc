#include "addon/files.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "addon/failure.h"
#include "addon/tests/check.h"

using namespace berth::addon;
using Kind = FileOperation::Kind;

namespace {

std::string temporary_directory() {
  char name[] = "/tmp/berth-files-XXXXXX";
  return mkdtemp(name);
}

FileOperation operation(Kind kind, std::string path) {
  FileOperation made;
  made.kind = kind;
  made.path = std::move(path);
  made.limit = 4096;
  return made;
}

}  // namespace

TEST("a batch runs in order and stops at the first failure that counts") {
  const std::string root = temporary_directory();
  std::vector<FileOperation> operations;
  operations.push_back(operation(Kind::make_directory, root + "/a"));
  operations.push_back(operation(Kind::list, root));
  operations.push_back(operation(Kind::write, root + "/missing"));
  operations.back().optional = {"EACCES", "ENOENT"};
  operations.push_back(operation(Kind::remove_directory, root + "/none"));
  operations.push_back(operation(Kind::remove_directory, root + "/a"));
  const auto outcomes = run_batch(operations);
  CHECK(outcomes.size() == 5);
  CHECK(outcomes[0].error == 0);
  CHECK(outcomes[1].error == 0 && outcomes[1].data == "a\n");
  CHECK(outcomes[2].error == ENOENT);
  CHECK(outcomes[3].error == ENOENT);
  CHECK(outcomes[4].error == ECANCELED);
  (void)run_batch({operation(Kind::remove_directory, root + "/a"), operation(Kind::remove_directory, root)});
}

TEST("a tree goes in one trip, links stay what they are, and a large one is given back") {
  const std::string root = temporary_directory();
  FileOperation create = operation(Kind::create, root + "/kept");
  create.data = "text";
  create.mode = 0600;
  FileOperation copy = operation(Kind::copy, root + "/kept");
  copy.to = root + "/tree/in/copy";
  const auto made = run_batch({create, operation(Kind::make_directory, root + "/tree"),
                               operation(Kind::make_directory, root + "/tree/in"), copy});
  CHECK(made[0].error == 0 && made[3].error == 0);
  CHECK(run_batch({operation(Kind::read, root + "/tree/in/copy")})[0].data == "text");
  CHECK(symlink("../kept", (root + "/tree/link").c_str()) == 0);
  CHECK(symlink(root.c_str(), (root + "/tree/in/up").c_str()) == 0);
  FileOperation remove = operation(Kind::remove_tree, root + "/tree");
  remove.limit = 1;
  CHECK(run_batch({remove})[0].error == E2BIG);
  remove.limit = 8;
  CHECK(run_batch({remove})[0].error == 0);
  CHECK(run_batch({remove})[0].error == ENOENT);
  CHECK(run_batch({operation(Kind::read, root + "/kept")})[0].data == "text");
  CHECK(unlink((root + "/kept").c_str()) == 0 && rmdir(root.c_str()) == 0);
}

TEST("a read stops at its limit and says so") {
  FileOperation read = operation(Kind::read, "/proc/self/status");
  CHECK(run_batch({read})[0].error == 0);
  read.limit = 10;
  CHECK(run_batch({read})[0].error == EFBIG);
}

TEST("a read waits for nobody: only regular files are read") {
  const std::string root = temporary_directory();
  CHECK(mkfifo((root + "/pipe").c_str(), 0600) == 0);
  FileOperation copy = operation(Kind::copy, root + "/pipe");
  copy.to = root + "/copy";
  CHECK(run_batch({operation(Kind::read, root + "/pipe")})[0].error == EINVAL);
  CHECK(run_batch({copy})[0].error == EINVAL);
  CHECK(run_batch({operation(Kind::read, "/dev/zero")})[0].error == EINVAL);
  CHECK(unlink((root + "/pipe").c_str()) == 0 && rmdir(root.c_str()) == 0);
}

TEST("failures are sentences with a path") {
  CHECK(sentence(fail_with(ENOENT, "mkdir", "/a/b")) == "mkdir /a/b: no such file or directory");
  CHECK(sentence(fail_with(EINVAL, "rtnetlink", "berth0", "no")) == "rtnetlink berth0: invalid argument (no)");
  CHECK(errno_name(ENOSPC) == "ENOSPC");
}

#include "addon/files.h"

#include <stdlib.h>

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

TEST("a read stops at its limit and says so") {
  FileOperation read = operation(Kind::read, "/proc/self/status");
  CHECK(run_batch({read})[0].error == 0);
  read.limit = 10;
  CHECK(run_batch({read})[0].error == EFBIG);
}

TEST("failures are sentences with a path") {
  CHECK(sentence(fail_with(ENOENT, "mkdir", "/a/b")) == "mkdir /a/b: no such file or directory");
  CHECK(sentence(fail_with(EINVAL, "rtnetlink", "berth0", "no")) == "rtnetlink berth0: invalid argument (no)");
  CHECK(errno_name(ENOSPC) == "ENOSPC");
}

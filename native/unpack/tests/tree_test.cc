#include "unpack/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "addon/tests/check.h"
#include "unpack/remove_tree.h"

using namespace berth::unpack;
using berth::Fd;

namespace {

// A directory below a directory: what escapes from the inner one lands in the outer.
struct Place {
  Place() {
    char name[] = "/tmp/berth-tree-XXXXXX";
    if (!mkdtemp(name)) abort();
    path = name;
    mkdir((path + "/root").c_str(), 0755);
    mkdir((path + "/outside").c_str(), 0755);
    root = open((path + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  ~Place() {
    close(root);
    uint64_t removed = 0;
    remove_tree(AT_FDCWD, path.c_str(), &removed);
  }
  Tree tree() const { return Tree(Fd(fcntl(root, F_DUPFD_CLOEXEC, 0))); }
  bool exists(const char* name) const { return faccessat(root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

  std::string path;
  int root = -1;
};

}  // namespace

TEST("missing directories are made and reported until declared") {
  const Place place;
  Tree tree = place.tree();
  DirectoryRef directory;
  Failure failure;
  CHECK(tree.open_or_make("a/b/c", &directory, &failure) && directory.fd >= 0);
  CHECK(tree.implied() == (std::vector<std::string>{"a", "a/b", "a/b/c"}));
  tree.declare("a/b");
  CHECK(tree.implied() == (std::vector<std::string>{"a", "a/b/c"}));
  CHECK(tree.inodes() == 3);
  CHECK(tree.open_existing("a/x", &directory, &failure) && directory.fd < 0);
  CHECK(!place.exists("a/x"));
}

TEST("symlinks of the layer are followed inside it and never out of it") {
  const Place place;
  Tree tree = place.tree();
  DirectoryRef directory;
  Failure failure;
  mkdirat(place.root, "usr", 0755);
  CHECK(symlinkat("usr/lib", place.root, "relative") == 0);
  CHECK(symlinkat("/usr/abs", place.root, "absolute") == 0);
  CHECK(symlinkat("../outside", place.root, "out") == 0);
  CHECK(symlinkat("usr/../../outside", place.root, "sly") == 0);
  CHECK(symlinkat("loop", place.root, "loop") == 0);
  CHECK(tree.open_or_make("relative/x", &directory, &failure));
  CHECK(tree.open_or_make("absolute/y", &directory, &failure));
  CHECK(place.exists("usr/lib/x") && place.exists("usr/abs/y"));
  // Above the root is the root, as the container will see it.
  CHECK(tree.open_or_make("out/x", &directory, &failure) && tree.open_or_make("sly/y", &directory, &failure));
  CHECK(place.exists("outside/x") && place.exists("outside/y"));
  CHECK(!tree.open_or_make("loop/x", &directory, &failure) && failure.code == Code::kInvalid);
  CHECK(access((place.path + "/outside/x").c_str(), F_OK) != 0);
}

TEST("a file on the way is refused") {
  const Place place;
  Tree tree = place.tree();
  DirectoryRef directory;
  Failure failure;
  close(openat(place.root, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  CHECK(!tree.open_or_make("file/x", &directory, &failure) && failure.code == Code::kInvalid);
}

TEST("a tree goes with all that is in it, and links in it stay what they are") {
  const Place place;
  Tree tree = place.tree();
  DirectoryRef directory;
  Failure failure;
  CHECK(tree.open_or_make("t/a/b", &directory, &failure));
  for (int i = 0; i < 3000; i++) {
    const std::string name = "f" + std::to_string(i);
    if (i % 10 == 0) {
      mkdirat(directory.fd, name.c_str(), 0);
    } else {
      close(openat(directory.fd, name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0));
    }
  }
  CHECK(symlinkat("../../../outside", directory.fd, "link") == 0);
  CHECK(tree.remove(place.root, "t", &failure));
  CHECK(!place.exists("t"));
  CHECK(access((place.path + "/outside").c_str(), F_OK) == 0);
  CHECK(tree.implied().empty());
}

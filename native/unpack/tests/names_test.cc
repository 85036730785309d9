#include "unpack/names.h"

#include "addon/tests/check.h"
#include "unpack/options.h"

using namespace berth::unpack;

namespace {

EntryName parse(std::string_view raw, Code* code) {
  EntryName name;
  Failure failure;
  parse_entry_name(raw, NameLimits{}, &name, &failure);
  *code = failure.code;
  return name;
}

bool is(std::string_view raw, NameKind kind, std::string_view parent, std::string_view base) {
  Code code;
  const EntryName name = parse(raw, &code);
  return code == Code::kNone && name.kind == kind && name.parent == parent && name.base == base;
}

bool refused(std::string_view raw, Code expected) {
  Code code;
  parse(raw, &code);
  return code == expected;
}

}  // namespace

TEST("a name is cleaned and split") {
  CHECK(is("a", NameKind::kPlain, "", "a"));
  CHECK(is("./a/b//c/", NameKind::kPlain, "a/b", "c"));
  CHECK(is("/etc/passwd", NameKind::kPlain, "etc", "passwd"));
  CHECK(is("a/./b", NameKind::kPlain, "a", "b"));
  CHECK(is("...", NameKind::kPlain, "", "..."));
  CHECK(is("..a/b..", NameKind::kPlain, "..a", "b.."));
  CHECK(is("../a", NameKind::kPlain, "", "a"));
  CHECK(is("../../a/../b/./../c", NameKind::kPlain, "", "c"));
  CHECK(is("a/b/..", NameKind::kPlain, "", "a"));
  CHECK(is("a/../.wh.b", NameKind::kWhiteout, "", "b"));
  CHECK(is("a/../..", NameKind::kRoot, "", ""));
  CHECK(is("./", NameKind::kRoot, "", ""));
  CHECK(is("/", NameKind::kRoot, "", ""));
  CHECK(is("a\xff\n", NameKind::kPlain, "", "a\xff\n"));
}

TEST("whiteouts are told from files") {
  CHECK(is(".wh.a", NameKind::kWhiteout, "", "a"));
  CHECK(is("a/.wh.b", NameKind::kWhiteout, "a", "b"));
  CHECK(is("a/.wh..wh..opq", NameKind::kOpaque, "a", ""));
  CHECK(is(".wh..wh..opq", NameKind::kOpaque, "", ""));
  CHECK(is(".wh..hidden", NameKind::kWhiteout, "", ".hidden"));
  Code code;
  CHECK(parse(".wh..wh.plnk/1.2", &code).kind == NameKind::kIgnored && code == Code::kNone);
  CHECK(parse("a/.wh..wh.aufs", &code).kind == NameKind::kIgnored && code == Code::kNone);
}

TEST("names that would hide nothing that has a name are refused") {
  for (const char* raw : {"", ".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b", "x/.wh.a/b"}) {
    CHECK(refused(raw, Code::kInvalid));
  }
}

TEST("names have limits") {
  CHECK(is(std::string(255, 'a'), NameKind::kPlain, "", std::string(255, 'a')));
  CHECK(refused(std::string(256, 'a'), Code::kInvalid));
  std::string deep;
  for (int i = 0; i < 1024; i++) deep += "d/";
  CHECK(!refused(deep, Code::kLimit));
  CHECK(refused(deep + "d", Code::kLimit));
  std::string lengthy;
  for (int i = 0; i < 20; i++) lengthy += std::string(200, 'a') + "/";
  CHECK(refused(lengthy, Code::kLimit));
}

TEST("attributes that overlayfs would believe are not for archives") {
  CHECK(is_allowed_xattr("user.note"));
  CHECK(is_allowed_xattr("security.capability"));
  CHECK(is_allowed_xattr("system.posix_acl_access"));
  for (const char* name : {"trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.redirect",
                           "trusted.other", "security.selinux", "security.ima", "user", ""}) {
    CHECK(!is_allowed_xattr(name));
  }
}

TEST("options are read or refused by name") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string expect = "--expect-diff-id=" + digest;
  const char* good[] = {"x", "--offset=512", "--length=0", "--max-entries=7", expect.c_str()};
  Options options;
  std::string error;
  CHECK(parse_options(5, good, &options, &error));
  CHECK(options.ranged && options.offset == 512 && options.length == 0 && options.max_entries == 7);
  CHECK(options.expect_diff_id == digest && options.expect_compressed.empty());
  for (const char* bad : {"--offset", "--offset=", "--offset=-1", "--offset=1x", "--length=99999999999999999999",
                          "--unknown=1", "layer.tar", "--expect-diff-id=sha256:abc", "--expect-compressed=md5:00"}) {
    const char* argv[] = {"x", bad};
    CHECK(!parse_options(2, argv, &options, &error));
    CHECK(error == std::string("bad option: ") + bad);
  }
}

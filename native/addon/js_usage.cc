#include "addon/addon.h"
#include "addon/reader.h"
#include "addon/usage.h"

namespace berth::addon {
namespace {

constexpr uint32_t directory_limit = 4096;
constexpr uint32_t file_limit = 64;
constexpr int64_t entry_limit = 100'000'000;

Napi::Value texts_value(Napi::Env env, std::vector<std::string>& texts) {
  Napi::Array all = Napi::Array::New(env, texts.size());
  for (uint32_t i = 0; i < texts.size(); ++i) {
    napi_value text = nullptr;
    // One byte a character: these files are ASCII, and a cgroup's name in one of them may be anything.
    if (napi_create_string_latin1(env, texts[i].data(), texts[i].size(), &text) != napi_ok) return env.Undefined();
    all.Set(i, Napi::Value(env, text));
  }
  return all;
}

Napi::Value read_each_call(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  std::vector<std::string> directories = in.texts(info[0], "directories");
  const Napi::Array list = in.array(info[1], "files");
  const auto limit = static_cast<size_t>(in.integer(info[2], "limit", 0, 64 * 1024 * 1024));
  if (directories.size() > directory_limit || list.Length() > file_limit) {
    return raise(env, fail_with(E2BIG, "readEach", "", "at most 4096 directories of 64 files"));
  }
  std::vector<SharedFile> files;
  for (uint32_t i = 0; i < list.Length() && in.ok(); ++i) {
    const Napi::Object file = in.object(list.Get(i), "file");
    const Napi::Value cut = file.Get("cut");
    if (!cut.IsUndefined() && !cut.IsBoolean()) in.note("cut", "a boolean");
    files.push_back({in.text(file.Get("before"), "before"), in.text(file.Get("after"), "after"), cut.ToBoolean()});
  }
  if (!in.ok()) return in.refuse();
  auto work = [directories = std::move(directories), files = std::move(files),
               limit]() -> Result<std::vector<std::string>> { return read_each(directories, files, limit); };
  return addon_of(env).cg.run(env, make_job(env, std::move(work), texts_value));
}

Napi::Value usage_value(Napi::Env env, TreeUsage& usage) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("bytes", Napi::BigInt::New(env, usage.bytes));
  value.Set("inodes", Napi::BigInt::New(env, usage.inodes));
  value.Set("complete", Napi::Boolean::New(env, usage.complete));
  return value;
}

Napi::Value tree_usage_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  const auto limit = static_cast<uint64_t>(in.integer(info[1], "limit", 0, entry_limit));
  if (!in.ok()) return in.refuse();
  auto work = [path, limit] {
    become_idle();
    return tree_usage(path, limit);
  };
  return addon_of(info.Env()).usage.run(info.Env(), make_job(info.Env(), work, usage_value));
}

Napi::Value project_usage_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  std::vector<std::string> directories = in.texts(info[0], "directories");
  if (!in.ok()) return in.refuse();
  using Found = std::vector<std::optional<TreeUsage>>;
  auto work = [directories = std::move(directories)]() -> Result<Found> {
    Found found;
    for (const std::string& directory : directories) {
      Result<TreeUsage> usage = project_usage(directory);
      found.push_back(usage ? std::optional(*usage) : std::nullopt);
    }
    return found;
  };
  auto convert = [](Napi::Env env, Found& found) -> Napi::Value {
    Napi::Array all = Napi::Array::New(env, found.size());
    for (uint32_t i = 0; i < found.size(); ++i) {
      all.Set(i, found[i] ? usage_value(env, *found[i]) : env.Undefined());
    }
    return all;
  };
  return addon_of(info.Env()).files.run(info.Env(), make_job(info.Env(), std::move(work), convert));
}

Napi::Value count_descriptors_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string path = in.text(info[0], "path");
  const auto limit = static_cast<uint64_t>(in.integer(info[1], "limit", 0, entry_limit));
  if (!in.ok()) return in.refuse();
  auto work = [path, limit] { return count_descriptors(path, limit); };
  auto convert = [](Napi::Env env, Descriptors& counted) -> Napi::Value {
    Napi::Object value = Napi::Object::New(env);
    value.Set("open", Napi::BigInt::New(env, counted.open));
    value.Set("sockets", Napi::BigInt::New(env, counted.sockets));
    return value;
  };
  return addon_of(info.Env()).files.run(info.Env(), make_job(info.Env(), work, convert));
}

}  // namespace

void add_usage(Napi::Env env, Napi::Object exports) {
  exports.Set("readEach", Napi::Function::New(env, read_each_call, "readEach"));
  exports.Set("treeUsage", Napi::Function::New(env, tree_usage_call, "treeUsage"));
  exports.Set("projectUsage", Napi::Function::New(env, project_usage_call, "projectUsage"));
  exports.Set("countDescriptors", Napi::Function::New(env, count_descriptors_call, "countDescriptors"));
}

}  // namespace berth::addon

#include <climits>

#include "addon/addon.h"
#include "addon/device_program.h"
#include "addon/files.h"
#include "addon/reader.h"
#include "addon/seccomp_filter.h"

namespace berth::addon {
namespace {

constexpr uint32_t batch_limit = 4096;

FileOperation::Kind read_kind(Reader& in, Napi::Value value) {
  const std::string name = in.text(value, "op");
  using Kind = FileOperation::Kind;
  if (name == "mkdir") return Kind::make_directory;
  if (name == "rmdir") return Kind::remove_directory;
  if (name == "rmtree") return Kind::remove_tree;
  if (name == "create") return Kind::create;
  if (name == "copy") return Kind::copy;
  if (name == "write") return Kind::write;
  if (name == "read") return Kind::read;
  if (name == "list") return Kind::list;
  if (name == "kill") return Kind::kill;
  if (name == "project") return Kind::project;
  in.note("op", "a known operation");
  return Kind::remove_directory;
}

FileOperation read_operation(Reader& in, const Napi::Object& from) {
  FileOperation operation;
  operation.kind = read_kind(in, from.Get("op"));
  operation.path = in.text(from.Get("path"), "path");
  switch (operation.kind) {
    case FileOperation::Kind::make_directory:
      operation.mode = static_cast<mode_t>(in.integer(from.Get("mode"), "mode", 0, 07777));
      break;
    case FileOperation::Kind::write:
      operation.data = in.data(from.Get("data"), "data");
      break;
    case FileOperation::Kind::create:
      operation.data = in.data(from.Get("data"), "data");
      operation.mode = static_cast<mode_t>(in.integer(from.Get("mode"), "mode", 0, 07777));
      break;
    case FileOperation::Kind::copy:
      operation.to = in.text(from.Get("to"), "to");
      operation.mode = static_cast<mode_t>(in.integer(from.Get("mode"), "mode", 0, 07777));
      operation.limit = static_cast<size_t>(in.integer(from.Get("limit"), "limit", 0, 64 * 1024 * 1024));
      break;
    case FileOperation::Kind::read:
    case FileOperation::Kind::list:
    case FileOperation::Kind::remove_tree:
      operation.limit = static_cast<size_t>(in.integer(from.Get("limit"), "limit", 0, 64 * 1024 * 1024));
      break;
    case FileOperation::Kind::kill:
      operation.held = from.Get("held").ToBoolean().Value();
      break;
    case FileOperation::Kind::remove_directory:
    case FileOperation::Kind::project:
      break;
  }
  const Napi::Value optional = from.Get("optional");
  if (optional.IsArray()) {
    operation.optional = in.texts(optional, "optional");
  } else {
    operation.any_optional = optional.IsBoolean() && optional.As<Napi::Boolean>();
  }
  return operation;
}

Napi::Value outcomes_value(Napi::Env env, const std::vector<FileOutcome>& outcomes, const std::vector<bool>& has_data) {
  Napi::Array all = Napi::Array::New(env, outcomes.size());
  for (uint32_t i = 0; i < outcomes.size(); ++i) {
    Napi::Object one = Napi::Object::New(env);
    if (outcomes[i].error != 0) {
      one.Set("error", errno_name(outcomes[i].error));
    } else if (has_data[i]) {
      one.Set("data", outcomes[i].data);
    }
    all.Set(i, one);
  }
  return all;
}

Napi::Value run_on(Worker& worker, const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Reader in(env);
  const Napi::Array list = in.array(info[0], "operations");
  if (list.Length() > batch_limit) return raise(env, fail_with(E2BIG, "batch", "", "at most 4096 operations"));
  std::vector<FileOperation> operations;
  std::vector<bool> has_data;
  for (uint32_t i = 0; i < list.Length() && in.ok(); ++i) {
    const Napi::HandleScope scope(env);
    operations.push_back(read_operation(in, in.object(list.Get(i), "operation")));
    const auto kind = operations.back().kind;
    has_data.push_back(kind == FileOperation::Kind::read || kind == FileOperation::Kind::list ||
                       kind == FileOperation::Kind::kill);
  }
  if (!in.ok()) return in.refuse();
  auto work = [operations = std::move(operations)]() -> Result<std::vector<FileOutcome>> {
    return run_batch(operations);
  };
  auto convert = [has_data = std::move(has_data)](Napi::Env at, std::vector<FileOutcome>& outcomes) {
    return outcomes_value(at, outcomes, has_data);
  };
  return worker.run(env, make_job(env, std::move(work), std::move(convert)));
}

Napi::Value batch(const Napi::CallbackInfo& info) {
  return run_on(addon_of(info.Env()).cg, info);
}

Napi::Value file_batch(const Napi::CallbackInfo& info) {
  return run_on(addon_of(info.Env()).files, info);
}

SeccompProfile read_profile(Reader& in, Napi::Value value) {
  const Napi::Object from = in.object(value, "profile");
  SeccompProfile profile;
  profile.default_action = static_cast<uint32_t>(in.integer(from.Get("defaultAction"), "defaultAction", 0, UINT32_MAX));
  profile.architectures = in.texts(from.Get("architectures"), "architectures");
  const Napi::Array rules = in.array(from.Get("rules"), "rules");
  for (uint32_t i = 0; i < rules.Length() && in.ok(); ++i) {
    const Napi::HandleScope scope(in.env());
    const Napi::Object rule = in.object(rules.Get(i), "rule");
    SeccompRule out;
    out.names = in.texts(rule.Get("names"), "names");
    out.action = static_cast<uint32_t>(in.integer(rule.Get("action"), "action", 0, UINT32_MAX));
    const Napi::Array arguments = in.array(rule.Get("args"), "args");
    for (uint32_t k = 0; k < arguments.Length(); ++k) {
      const Napi::Object argument = in.object(arguments.Get(k), "arg");
      out.arguments.push_back({static_cast<unsigned>(in.integer(argument.Get("index"), "index", 0, 5)),
                               static_cast<int>(in.integer(argument.Get("op"), "op", 1, 7)),
                               in.unsigned64(argument.Get("value"), "value"),
                               in.unsigned64(argument.Get("valueTwo"), "valueTwo")});
    }
    profile.rules.push_back(std::move(out));
  }
  return profile;
}

Napi::Value bytes_value(Napi::Env env, std::vector<uint8_t>& bytes) {
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value compile_seccomp_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  SeccompProfile profile = read_profile(in, info[0]);
  if (!in.ok()) return in.refuse();
  auto work = [profile = std::move(profile)] { return compile_seccomp(profile); };
  return addon_of(info.Env()).seccomp.run(info.Env(), make_job(info.Env(), std::move(work), bytes_value));
}

Napi::Value attach_device_program_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const std::string directory = in.text(info[0], "directory");
  std::vector<uint8_t> program = in.bytes(info[1], "instructions");
  if (!in.ok()) return in.refuse();
  auto work = [directory, program = std::move(program)] { return attach_device_program(directory, program); };
  return addon_of(info.Env()).cg.run(info.Env(), make_job(info.Env(), std::move(work), to_undefined));
}

}  // namespace

void add_files(Napi::Env env, Napi::Object exports) {
  exports.Set("batch", Napi::Function::New(env, batch, "batch"));
  exports.Set("fileBatch", Napi::Function::New(env, file_batch, "fileBatch"));
  exports.Set("compileSeccomp", Napi::Function::New(env, compile_seccomp_call, "compileSeccomp"));
  exports.Set("attachDeviceProgram", Napi::Function::New(env, attach_device_program_call, "attachDeviceProgram"));
}

}  // namespace berth::addon

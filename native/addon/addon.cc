#include "addon/addon.h"

namespace berth::addon {
namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // Deleted by Node-API when the environment ends, after the hooks of the mailboxes.
  env.SetInstanceData(new Addon());
  exports.Set("abiVersion", Napi::Number::New(env, abi_version));
  add_descriptors(env, exports);
  add_sockets(env, exports);
  add_processes(env, exports);
  add_files(env, exports);
  add_network(env, exports);
  add_machine(env, exports);
  add_usage(env, exports);
  return exports;
}

}  // namespace
}  // namespace berth::addon

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  return berth::addon::init(env, exports);
}
NODE_API_MODULE(berth_addon, Init)

#include "addon/describe.h"

namespace berth::addon {

Napi::Error describe(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, sentence(failure));
  Napi::Object fields = error.Value();
  fields.Set("code", errno_name(failure.error));
  fields.Set("errno", Napi::Number::New(env, failure.error));
  fields.Set("syscall", failure.call);
  if (!failure.path.empty()) fields.Set("path", failure.path);
  return error;
}

Napi::Value raise(Napi::Env env, const Failure& failure) {
  describe(env, failure).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace berth::addon

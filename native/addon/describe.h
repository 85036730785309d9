// Failures as JavaScript sees them: an Error with code, errno, syscall and, where there is one, path.
#pragma once

#include <napi.h>

#include "addon/failure.h"

namespace berth::addon {

Napi::Error describe(Napi::Env env, const Failure& failure);
// Throws it; the result is what a function returns then.
Napi::Value raise(Napi::Env env, const Failure& failure);

}  // namespace berth::addon

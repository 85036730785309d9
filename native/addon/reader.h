// Reads arguments and properties of JavaScript callers. The first wrong one is remembered and named by `refuse`.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace berth::addon {

class Reader {
 public:
  explicit Reader(Napi::Env env) : env_(env) {}

  int fd(Napi::Value value, const char* what);
  // undefined gives -1.
  int optional_fd(Napi::Value value, const char* what);
  int64_t integer(Napi::Value value, const char* what, int64_t least, int64_t most);
  uint64_t unsigned64(Napi::Value value, const char* what);
  // Without NUL bytes: a path that ends early would be another path.
  std::string text(Napi::Value value, const char* what);
  std::string optional_text(Napi::Value value, const char* what);
  std::string data(Napi::Value value, const char* what);
  std::vector<uint8_t> bytes(Napi::Value value, const char* what);
  std::vector<std::string> texts(Napi::Value value, const char* what);
  Napi::Object object(Napi::Value value, const char* what);
  Napi::Array array(Napi::Value value, const char* what);

  // "what must be wanted"
  void note(const char* what, const char* wanted);

  bool ok() const { return wrong_.empty(); }
  Napi::Env env() const { return env_; }
  // Throws a TypeError that names the first wrong value.
  Napi::Value refuse() const;

 private:
  Napi::Env env_;
  std::string wrong_;
};

}  // namespace berth::addon

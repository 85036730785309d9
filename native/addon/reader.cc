#include "addon/reader.h"

#include <climits>
#include <cmath>

namespace berth::addon {

void Reader::note(const char* what, const char* wanted) {
  if (wrong_.empty()) wrong_ = std::string(what) + " must be " + wanted;
}

Napi::Value Reader::refuse() const {
  Napi::TypeError::New(env_, wrong_).ThrowAsJavaScriptException();
  return env_.Undefined();
}

int64_t Reader::integer(Napi::Value value, const char* what, int64_t least, int64_t most) {
  if (!value.IsNumber()) {
    note(what, "a number");
    return least;
  }
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) || std::trunc(number) != number) {
    note(what, "an integer in range");
    return least;
  }
  return static_cast<int64_t>(number);
}

int Reader::fd(Napi::Value value, const char* what) {
  return static_cast<int>(integer(value, what, 0, INT_MAX));
}

int Reader::optional_fd(Napi::Value value, const char* what) {
  return value.IsUndefined() || value.IsNull() ? -1 : fd(value, what);
}

uint64_t Reader::unsigned64(Napi::Value value, const char* what) {
  if (value.IsBigInt()) {
    bool lossless = false;
    const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (lossless) return number;
  }
  note(what, "a bigint of 64 bits without a sign");
  return 0;
}

std::string Reader::data(Napi::Value value, const char* what) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  note(what, "a string");
  return {};
}

std::string Reader::text(Napi::Value value, const char* what) {
  std::string text = data(value, what);
  if (text.find('\0') == std::string::npos) return text;
  note(what, "free of NUL bytes");
  return {};
}

std::string Reader::optional_text(Napi::Value value, const char* what) {
  return value.IsUndefined() || value.IsNull() ? std::string() : text(value, what);
}

std::vector<uint8_t> Reader::bytes(Napi::Value value, const char* what) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.Data() + array.ByteLength()};
  }
  note(what, "a Uint8Array");
  return {};
}

Napi::Object Reader::object(Napi::Value value, const char* what) {
  if (value.IsObject()) return value.As<Napi::Object>();
  note(what, "an object");
  return Napi::Object::New(env_);
}

Napi::Array Reader::array(Napi::Value value, const char* what) {
  if (value.IsArray()) return value.As<Napi::Array>();
  note(what, "an array");
  return Napi::Array::New(env_);
}

std::vector<std::string> Reader::texts(Napi::Value value, const char* what) {
  const Napi::Array all = array(value, what);
  std::vector<std::string> texts;
  texts.reserve(all.Length());
  for (uint32_t i = 0; i < all.Length(); ++i) texts.push_back(text(all.Get(i), what));
  return texts;
}

}  // namespace berth::addon

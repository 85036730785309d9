#include "unpack/decoder.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "addon/tests/check.h"

using namespace berth::unpack;

namespace {

class StringSink final : public Sink {
 public:
  explicit StringSink(size_t step) : buffer_(step) {}
  uint8_t* room(size_t* size) override {
    *size = buffer_.size();
    return buffer_.data();
  }
  bool filled(size_t size, Failure*) override {
    text.append(reinterpret_cast<const char*>(buffer_.data()), size);
    return true;
  }
  std::string text;

 private:
  std::vector<uint8_t> buffer_;
};

std::string sample() {
  std::string text;
  for (int i = 0; i < 5000; i++) text += "line " + std::to_string(i * 7919 % 5003) + "\n";
  return text;
}

std::string gzip(const std::string& text) {
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  std::vector<uint8_t> level(ISAL_DEF_LVL1_DEFAULT);
  std::string out(text.size() + 1024, '\0');
  stream.level = 1;
  stream.level_buf = level.data();
  stream.level_buf_size = static_cast<uint32_t>(level.size());
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uint32_t>(text.size());
  stream.next_out = reinterpret_cast<uint8_t*>(out.data());
  stream.avail_out = static_cast<uint32_t>(out.size());
  isal_deflate_stateless(&stream);
  out.resize(stream.total_out);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

// Fed in pieces of `in` bytes, taken in pieces of `out` bytes. The failure's message, or what came out.
std::string decode(const std::string& bytes, size_t in, size_t out) {
  Failure failure;
  StringSink sink(out);
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto decoder = make_decoder(data, bytes.size(), &failure);
  if (!decoder) return "failed: " + failure.message;
  for (size_t at = 0; at < bytes.size(); at += in) {
    // A copy of exact size, so that the sanitizer sees a read beyond it.
    const std::vector<uint8_t> piece(data + at, data + std::min(bytes.size(), at + in));
    if (!decoder->feed(piece.data(), piece.size(), &sink, &failure)) return "failed: " + failure.message;
  }
  if (!decoder->finish(&failure)) return "failed: " + failure.message;
  return sink.text;
}

bool failed_with(const std::string& result, const char* words) {
  return result.rfind("failed: ", 0) == 0 && result.find(words) != std::string::npos;
}

}  // namespace

TEST("gzip and zstd are decoded whatever the pieces") {
  const std::string text = sample();
  for (const std::string& bytes : {gzip(text), zstd(text), text}) {
    for (const size_t in : {size_t{1}, size_t{7}, size_t{4096}, bytes.size()}) {
      for (const size_t out : {size_t{1}, size_t{333}, size_t{1} << 18}) CHECK(decode(bytes, in, out) == text);
    }
  }
}

TEST("members and frames follow one another") {
  const std::string a = sample();
  const std::string b = "tail";
  for (const size_t in : {size_t{1}, size_t{3}, size_t{1000}, size_t{1} << 20}) {
    CHECK(decode(gzip(a) + gzip(b) + gzip("") + gzip(a), in, 1000) == a + b + a);
    CHECK(decode(zstd(a) + zstd("") + zstd(b), in, 1000) == a + b);
  }
}

TEST("frames to be skipped are skipped, also at the beginning") {
  const std::string skip("\x51\x2a\x4d\x18\x03\0\0\0abc", 11);
  CHECK(decode(skip + zstd("text") + skip, 1, 100) == "text");
}

TEST("nothing is nothing") {
  CHECK(decode("", 1, 1).empty());
  CHECK(decode(gzip(""), 1, 1).empty());
}

TEST("a stream cut short is not an end") {
  const std::string text = sample();
  const std::string gz = gzip(text);
  const std::string zs = zstd(text);
  for (const size_t cut : {size_t{2}, size_t{9}, size_t{10}, gz.size() / 2, gz.size() - 8, gz.size() - 1}) {
    CHECK(failed_with(decode(gz.substr(0, cut), 100, 1000), "truncated"));
  }
  for (const size_t cut : {size_t{4}, size_t{5}, zs.size() / 2, zs.size() - 1}) {
    CHECK(failed_with(decode(zs.substr(0, cut), 100, 1000), "truncated"));
  }
}

TEST("garbage, wrong checksums and other compressions are refused") {
  const std::string text = sample();
  std::string wrong = gzip(text);
  wrong[wrong.size() - 6] ^= 1;
  CHECK(failed_with(decode(wrong, 4096, 4096), "checksum"));
  CHECK(failed_with(decode(gzip(text) + "garbage that is long enough", 4096, 4096), "garbage after the end"));
  CHECK(failed_with(decode(gzip(text) + std::string(64, '\0'), 4096, 4096), "garbage after the end"));
  CHECK(failed_with(decode(zstd(text) + "garbage", 4096, 4096), "zstd"));
  std::string flipped = gzip(text);
  for (size_t i = 20; i < 40; i++) flipped[i] = '\xff';
  CHECK(failed_with(decode(flipped, 4096, 4096), "gzip"));
  CHECK(failed_with(decode("BZh91AY", 7, 7), "bzip2"));
  CHECK(failed_with(decode(std::string("\xfd"
                                       "7zXZ\0",
                                       6),
                           7, 7),
                    "xz"));
}

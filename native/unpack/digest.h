// SHA-2 of a stream, by libcrypto's assembler (SHA extensions where the processor has them).
#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::unpack {

// The algorithm before the colon of a digest; "sha256" for an empty one.
inline std::string_view algorithm_of(std::string_view digest) {
  return digest.empty() ? std::string_view("sha256") : digest.substr(0, digest.find(':'));
}

// The plain functions rather than EVP: EVP reads configuration files and costs milliseconds before the first byte.
class Digest {
 public:
  // sha256, sha384 or sha512.
  explicit Digest(std::string_view algorithm) : algorithm_(algorithm) {
    if (is_small()) {
      SHA256_Init(&small_);
    } else if (algorithm_ == "sha384") {
      SHA384_Init(&large_);
    } else {
      SHA512_Init(&large_);
    }
  }
  void add(const void* data, size_t size) {
    if (is_small()) {
      SHA256_Update(&small_, data, size);
    } else {
      SHA512_Update(&large_, data, size);
    }
  }
  // "sha256:…"; ends the stream.
  std::string finish() {
    unsigned char sum[SHA512_DIGEST_LENGTH];
    size_t size = SHA256_DIGEST_LENGTH;
    if (is_small()) {
      SHA256_Final(sum, &small_);
    } else {
      // As long as it was begun: SHA-384 is a shortened SHA-512.
      size = large_.md_len;
      SHA512_Final(sum, &large_);
    }
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text = algorithm_ + ':';
    for (size_t i = 0; i < size; i++) {
      text += kHex[sum[i] >> 4];
      text += kHex[sum[i] & 15];
    }
    return text;
  }

 private:
  bool is_small() const { return algorithm_ == "sha256"; }

  std::string algorithm_;
  SHA256_CTX small_;
  SHA512_CTX large_;
};

}  // namespace berth::unpack

// SHA-256 of a stream, by libcrypto's assembler (SHA extensions where the processor has them).
#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <string>

namespace berth::unpack {

// The plain functions rather than EVP: EVP reads configuration files and costs milliseconds before the first byte.
class Sha256 {
 public:
  Sha256() { SHA256_Init(&context_); }
  void add(const void* data, size_t size) { SHA256_Update(&context_, data, size); }
  // "sha256:…"; ends the stream.
  std::string finish() {
    unsigned char sum[SHA256_DIGEST_LENGTH];
    SHA256_Final(sum, &context_);
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text = "sha256:";
    for (const unsigned char byte : sum) {
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
    return text;
  }

 private:
  SHA256_CTX context_;
};

}  // namespace berth::unpack

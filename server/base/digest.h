// SHA-256 digests, by which contents are named. docs/formats.md describes the bytes that are digested.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// A SHA-256 digest: 32 bytes, all zero by default.
class Digest {
 public:
  Digest() = default;

  // Returns the digest of `bytes`.
  static Digest Of(std::string_view bytes);
  // Returns the digest that these 32 raw bytes are; nullopt for any other number of bytes.
  static std::optional<Digest> FromBytes(std::string_view bytes);

  std::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  // Returns 64 hexadecimal digits in lower case.
  std::string Hex() const;

  auto operator<=>(const Digest&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.bytes_);
  }

 private:
  friend class Digester;
  std::array<uint8_t, 32> bytes_{};
};

// Computes the digest of bytes that arrive in pieces. AddPart adds the length of a part before its bytes, so that the
// parts ("a", "bc") and ("ab", "c") have different digests.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;

  // Adds the bytes alone: two calls equal one with both pieces.
  Digester& Add(std::string_view bytes);
  // Adds the length as 8 bytes, little-endian, then the bytes.
  Digester& AddPart(std::string_view bytes);
  // Adds 8 bytes, little-endian.
  Digester& AddNumber(uint64_t number);

  // Returns the digest. The digester must not be used afterwards.
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace

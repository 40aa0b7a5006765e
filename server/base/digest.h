// SHA-256 digests: the names of contents. Formats of what is digested are in docs/formats.md.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// 32 bytes of SHA-256.
class Digest {
 public:
  Digest() = default;

  static Digest Of(std::string_view bytes);
  // From 32 raw bytes, or nothing.
  static std::optional<Digest> FromBytes(std::string_view bytes);
  // From 64 hexadecimal digits of lower case, or nothing.
  static std::optional<Digest> FromHex(std::string_view hex);

  std::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
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

// Digests what comes in pieces. Parts are set off from each other: AddPart writes its length first, so that ("a", "bc")
// and ("ab", "c") differ.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;

  // Raw bytes.
  Digester& Add(std::string_view bytes);
  // The length as 8 bytes, little-endian, then the bytes.
  Digester& AddPart(std::string_view bytes);
  // 8 bytes, little-endian.
  Digester& AddNumber(uint64_t number);

  // The digest; the digester is spent.
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace

// Messages of millrace.backend.v1 as bytes. Here alone its generated code is included, because its namespace `v1` hides
// that of the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/sdk/backend.h"

namespace millrace::backend::remote {

// Return the messages that ask.
std::string GenerateMessage(const Request& request);
std::string EmbedMessage(const EmbedRequest& request);

// Cuts a response into the messages of an RPC: each has one byte that is 0, its length in four bytes (big-endian), and
// its bytes.
class Frames {
 public:
  void Add(std::string_view bytes);
  // Returns the next message; nullopt if it has not come whole.
  std::optional<std::string> Next();
  // The bytes are not those of messages.
  bool is_bad() const { return is_bad_; }
  // All bytes were returned in messages.
  bool is_empty() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;  // begin of the next message
  bool is_bad_ = false;
};

// Answer of a backend, with the version that it reports.
struct Reported {
  Answer answer;
  std::string answer_version;
};
struct Delta {
  std::string text;
};
// Result of a message: a part of an answer, a whole answer, or a failure.
using Meaning = std::variant<Delta, Reported, Failure>;

// Return the meaning of a message; ANSWERED_BAD if it is not of the protocol.
Meaning ReadGenerate(const std::string& message);
Meaning ReadEmbed(const std::string& message, size_t texts, std::optional<int32_t> dimensions);

// Description of a backend.
struct Description {
  std::string name;
  std::string answer_version;
  std::vector<std::string> models;
};
// Returns the description in a message; nullopt if it is not one.
std::optional<Description> ReadDescription(const std::string& message);

// Returns the failure of a complete response that is not of the protocol.
Failure BadResponse(std::string message);

}  // namespace millrace::backend::remote

// A provider's protocol as the contract suite needs it: the bytes with which a provider says something. Each backend
// has one dialect for each form of its responses (whole, streamed), in a file of its own, and a line in dialects.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend {

// Reason with which a provider ends an answer.
enum class Ending { kStop, kLength, kContentFilter, kRefusal, kUnknownReason, kNoReason };

// An answer as the suite wants it to be said. All members are JSON, so that a case can say what is not JSON, too.
struct Said {
  std::vector<std::string> pieces = {"hel", "lo"};  // insides of JSON strings; a stream sends one after the other
  Ending ending = Ending::kStop;
  std::string input_tokens = "19";
  std::string output_tokens = "10";
  std::string more;  // further members of the outermost object, each with a comma before it: `,"x":1`
};

class Dialect {
 public:
  virtual ~Dialect() = default;

  // `base_url` is `http://host:port` or `https://host`, without a path. The backend sends its secret, if it has one.
  virtual std::unique_ptr<Backend> MakeBackend(const std::string& base_url) const = 0;

  // Returns the response with status 200 that says this; nullopt if the protocol can't. The model is reported as `m-1`
  // if the protocol reports models (see model()).
  virtual std::optional<Response> Say(const Said& said) const = 0;

  // Returns the number of bytes of Say's response with which the answer is complete. Less is never an answer.
  virtual size_t BytesNeeded(const Response& response) const = 0;

  // Returns an error of this status, as the provider words it.
  virtual Response Refuse(int status) const = 0;

  // Returns a response with status 200 that begins like an answer and ends with an error; nullopt if the protocol has
  // none.
  virtual std::optional<Response> FailInside() const = 0;

  // Returns the response to an EmbedRequest whose vectors are these JSON values; nullopt if the backend does not embed.
  virtual std::optional<Response> Embed(const std::vector<std::string>& vectors) const = 0;

  // Name of the model that answers report; empty: they report none.
  virtual std::string model() const { return "m-1"; }
  virtual std::string embedding_model() const { return "m-1"; }
  // The response is a stream, so that an exchange has deltas.
  virtual bool is_stream() const { return false; }
  // The response is text, so that a byte order mark and white space may be before it.
  virtual bool is_text() const { return true; }
  // Requests, and what responses say, are JSON.
  virtual bool is_json() const { return true; }
};

struct NamedDialect {
  std::string name;  // of letters and digits
  std::function<std::unique_ptr<Dialect>()> make;

  friend void PrintTo(const NamedDialect& dialect, std::ostream* out) { *out << dialect.name; }
};

// The one list of all dialects.
std::vector<NamedDialect> Dialects();

// Return the pieces joined, as the inside of a JSON string and as a JSON string.
std::string Joined(const Said& said);
std::string Quoted(const std::string& inside);

}  // namespace millrace::backend

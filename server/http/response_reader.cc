#include "server/http/response_reader.h"

#include <fmt/format.h>

#include <boost/beast/http.hpp>
#include <charconv>
#include <utility>

namespace millrace {

namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr int kInterimMax = 16;

// Returns the status code of the status line with which `bytes` begin; 0 if they have no complete one.
int StatusOfLine(std::string_view bytes) {
  constexpr size_t kCodeAt = 9;  // HTTP/1.1 200
  if (!bytes.starts_with("HTTP/1.") || bytes.find("\r\n") == std::string_view::npos) return 0;
  int code = 0;
  const char* const digits = bytes.data() + kCodeAt;
  const auto parsed = std::from_chars(digits, digits + 3, code);
  return parsed.ec == std::errc() && parsed.ptr == digits + 3 && bytes[kCodeAt - 1] == ' ' ? code : 0;
}

}  // namespace

struct ResponseReader::Parser : http::response_parser<http::string_body> {};

ResponseReader::ResponseReader(Limits limits, bool to_head) : limits_(limits), to_head_(to_head) { NewParser(); }

ResponseReader::~ResponseReader() = default;

void ResponseReader::NewParser() {
  parser_ = std::make_unique<Parser>();
  parser_->eager(true);
  parser_->skip(to_head_);
  parser_->header_limit(static_cast<uint32_t>(limits_.header_bytes));
  parser_->body_limit(limits_.body_bytes);
  parser_->get().result(0u);  // no status until its line is parsed; the default would be 200
}

ResponseReader::State ResponseReader::Fail(State state, std::string problem) {
  problem_ = std::move(problem);
  return state;
}

ResponseReader::State ResponseReader::Feed(std::string_view bytes) {
  std::string joined;
  std::string_view left = bytes;
  if (!pending_.empty()) {
    joined = std::exchange(pending_, {});
    joined += bytes;
    left = joined;
  }
  while (!left.empty()) {
    beast::error_code error;
    const size_t taken = parser_->put(boost::asio::const_buffer(left.data(), left.size()), error);
    left.remove_prefix(taken);
    pending_ = error ? left : std::string_view();
    if (error == http::error::need_more || (!error && taken == 0)) break;
    if (error == http::error::header_limit) {
      return Fail(State::kTooLarge, fmt::format("the answer's headers are larger than {} bytes", limits_.header_bytes));
    }
    if (error == http::error::body_limit) {
      return Fail(State::kTooLarge, fmt::format("the answer's body is larger than {} bytes", limits_.body_bytes));
    }
    if (error) return Fail(State::kMalformed, fmt::format("the answer is not HTTP: {}", error.message()));
    if (!parser_->is_done()) continue;
    const unsigned code = parser_->get().result_int();
    if (code >= 200) {
      surplus_ = !left.empty();
      return State::kWhole;
    }
    if (code == 101 || ++interim_ > kInterimMax) {
      NewParser();  // forgets the interim status
      return Fail(
          State::kMalformed,
          fmt::format("the server sent more than {} interim answers (1xx), or switched the protocol", kInterimMax));
    }
    NewParser();
  }
  if (left.size() > limits_.header_bytes) {  // an endless chunk header
    return Fail(State::kTooLarge, fmt::format("a part of the answer is larger than {} bytes", limits_.header_bytes));
  }
  return State::kMore;
}

ResponseReader::State ResponseReader::End() {
  beast::error_code error;
  if (parser_->is_header_done()) parser_->put_eof(error);
  if (!error && parser_->is_done()) return State::kWhole;
  return Fail(State::kBrokenOff, status() == 0 ? "the connection was closed before an answer"
                                               : "the connection was closed before the end of the answer");
}

// Reads the status line itself, because the parser may wait for all headers first.
int ResponseReader::status() const {
  const int read = static_cast<int>(parser_->get().result_int());
  const int code = read != 0 ? read : StatusOfLine(pending_);
  return code < 200 ? 0 : code;  // the status of an interim answer does not count
}

bool ResponseReader::keeps_connection() const { return parser_->is_done() && parser_->keep_alive() && !surplus_; }

HttpHeaders ResponseReader::TakeHeaders() {
  HttpHeaders headers;
  for (const auto& field : parser_->get().base()) {
    headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  return headers;
}

std::string ResponseReader::TakeBody() { return std::move(parser_->get().body()); }

}  // namespace millrace

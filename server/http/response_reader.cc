#include "server/http/response_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http.hpp>
#include <charconv>
#include <utility>

#include "server/base/status.h"

namespace millrace {

namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr int kInterimMax = 16;
constexpr std::string_view kStatusLine = "HTTP/1.1 200";

// Compares names, in any case.
bool IsSame(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

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

struct ResponseReader::Parser : http::response_parser<http::empty_body> {};

ResponseReader::ResponseReader(Limits limits, bool to_head) : limits_(limits), to_head_(to_head) { NewParser(); }

ResponseReader::~ResponseReader() = default;

void ResponseReader::NewParser() {
  parser_ = std::make_unique<Parser>();
  parser_->skip(to_head_);
  parser_->header_limit(static_cast<uint32_t>(limits_.header_bytes));
  parser_->body_limit(boost::none);  // counted here, decoded
  parser_->get().result(0u);         // no status until its line is parsed; the default would be 200
}

ResponseReader::State ResponseReader::Fail(State state, std::string problem) {
  problem_ = std::move(problem);
  return state;
}

ResponseReader::State ResponseReader::Feed(std::string_view bytes) {
  if (has_head_) return ReadBody(bytes);
  pending_.append(bytes);
  const State state = ReadHead();
  if (state != State::kMore || !has_head_) return state;
  const std::string rest = std::exchange(pending_, {});
  return ReadBody(rest);
}

ResponseReader::State ResponseReader::ReadHead() {
  while (!pending_.empty()) {
    const bool is_at_line = parser_->get().result_int() == 0;
    const size_t line_end = is_at_line ? pending_.find("\r\n") : 0;
    if (line_end == std::string::npos && pending_.starts_with("HTTP/1.")) {
      if (pending_.size() <= limits_.header_bytes) return State::kMore;
      return Fail(State::kTooLarge, fmt::format("the answer's headers are larger than {} bytes", limits_.header_bytes));
    }
    // Beast needs the space before the reason phrase, which servers omit that have no phrase.
    if (is_at_line && line_end == kStatusLine.size()) pending_.insert(line_end, " ");
    beast::error_code error;
    const size_t taken = parser_->put(boost::asio::const_buffer(pending_.data(), pending_.size()), error);
    pending_.erase(0, taken);
    if (error == http::error::need_more || (!error && taken == 0)) return State::kMore;
    if (error == http::error::header_limit) {
      return Fail(State::kTooLarge, fmt::format("the answer's headers are larger than {} bytes", limits_.header_bytes));
    }
    if (error) return Fail(State::kMalformed, fmt::format("the answer is not HTTP: {}", error.message()));
    if (!parser_->is_header_done()) continue;
    const auto code = static_cast<int>(parser_->get().result_int());
    if (code >= 200) return BeginBody();
    NewParser();  // forgets the interim status
    if (code == 101 || ++interim_ > kInterimMax) {
      pending_.clear();  // what follows has no status for the caller
      return Fail(
          State::kMalformed,
          fmt::format("the server sent more than {} interim answers (1xx), or switched the protocol", kInterimMax));
    }
  }
  return State::kMore;
}

ResponseReader::State ResponseReader::BeginBody() {
  has_head_ = true;
  status_ = static_cast<int>(parser_->get().result_int());
  for (const auto& field : parser_->get().base()) {
    headers_.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  is_kept_alive_ = parser_->keep_alive();
  const auto length = parser_->content_length();
  if (parser_->is_done()) {
    framing_ = Framing::kNone;
  } else if (parser_->chunked()) {
    framing_ = Framing::kChunked;
    chunks_.emplace(limits_.header_bytes);
  } else if (length) {
    framing_ = Framing::kLength;
    left_ = *length;
  } else {
    framing_ = Framing::kUntilClose;
  }
  parser_.reset();
  if (framing_ == Framing::kNone) return State::kMore;
  if (framing_ == Framing::kLength && left_ > limits_.body_bytes) {
    return Fail(State::kTooLarge, fmt::format("the answer's body is larger than {} bytes", limits_.body_bytes));
  }
  const std::string_view transfer = FindHeader(headers_, "Transfer-Encoding");
  if (!transfer.empty() && !IsSame(transfer, "chunked") && !IsSame(transfer, "identity")) {
    return Fail(State::kMalformed, fmt::format("the answer has the unknown transfer encoding `{}`", Excerpt(transfer)));
  }
  const std::string_view encoding = FindHeader(headers_, "Content-Encoding");
  if (encoding.empty() || IsSame(encoding, "identity")) return State::kMore;
  for (const std::string_view known : {"gzip", "x-gzip", "deflate"}) {
    if (IsSame(encoding, known)) inflater_ = std::make_unique<Inflater>();
  }
  if (inflater_ != nullptr) return State::kMore;
  return Fail(State::kMalformed,
              fmt::format("the answer has the content encoding `{}`, which was not asked for", Excerpt(encoding)));
}

ResponseReader::State ResponseReader::ReadBody(std::string_view bytes) {
  switch (framing_) {
    case Framing::kUntilClose:
      return Append(bytes);
    case Framing::kNone:
      break;
    case Framing::kLength: {
      const auto taken = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      const State state = Append(bytes.substr(0, taken));
      left_ -= taken;
      if (state != State::kMore || left_ > 0) return state;
      bytes.remove_prefix(taken);
      break;
    }
    case Framing::kChunked: {
      std::string content;
      const ChunkedBody::State chunks = chunks_->Feed(bytes, content);
      const State state = Append(content);
      if (state != State::kMore) return state;
      if (chunks == ChunkedBody::State::kMore) return state;
      if (chunks == ChunkedBody::State::kMalformed) {
        return Fail(State::kMalformed, "the answer is not HTTP: bad chunk");
      }
      if (chunks == ChunkedBody::State::kTooLarge) {
        return Fail(State::kTooLarge,
                    fmt::format("a part of the answer is larger than {} bytes", limits_.header_bytes));
      }
      break;
    }
  }
  // Bytes after the answer: the connection can't be used again.
  if (!bytes.empty()) is_kept_alive_ = false;
  return Finish();
}

ResponseReader::State ResponseReader::Append(std::string_view content) {
  const size_t room = limits_.body_bytes - body_bytes_;
  const size_t before = body_.size();
  bool is_too_large = content.size() > room;
  if (inflater_ == nullptr) {
    body_.append(content.substr(0, room));
  } else {
    const Inflater::State state = inflater_->Feed(content, before + room, body_);
    if (state == Inflater::State::kMalformed) {
      return Fail(State::kMalformed, "the answer's compressed body can't be decompressed");
    }
    is_too_large = state == Inflater::State::kTooLarge;
  }
  body_bytes_ += body_.size() - before;
  if (!is_too_large) return State::kMore;
  return Fail(State::kTooLarge, fmt::format("the answer's body is larger than {} bytes", limits_.body_bytes));
}

ResponseReader::State ResponseReader::Finish() {
  if (inflater_ != nullptr && !inflater_->may_end()) {
    return Fail(State::kMalformed, "the answer's compressed body ends early");
  }
  is_whole_ = true;
  return State::kWhole;
}

ResponseReader::State ResponseReader::End() {
  if (has_head_ && framing_ == Framing::kUntilClose) return Finish();
  return Fail(State::kBrokenOff, status() == 0 ? "the connection was closed before an answer"
                                               : "the connection was closed before the end of the answer");
}

// Reads the status line itself, because the parser may wait for all headers first.
int ResponseReader::status() const {
  if (has_head_) return status_;
  const int read = static_cast<int>(parser_->get().result_int());
  const int code = read != 0 ? read : StatusOfLine(pending_);
  return code < 200 ? 0 : code;  // the status of an interim answer does not count
}

}  // namespace millrace

#include "backends/ollama/answer.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "backends/ollama/failure.h"
#include "backends/sdk/reply_json.h"
#include "server/base/json.h"

namespace millrace::backend::ollama {
namespace {

// Returns the error that a line or body complains of; null if there is none. Servers have sent an empty one beside a
// good answer.
const json::value* ErrorOf(const json::value& value) {
  const json::value* error = FindPath(value, "error");
  return error == nullptr || IsNothing(*error) ? nullptr : error;
}

bool IsTrue(const json::value* value) { return value != nullptr && value->is_bool() && value->get_bool(); }

// Returns a vector; empty if the value is not a list of finite numbers.
std::vector<float> VectorOf(const json::value& value) {
  std::vector<float> vector;
  if (!value.is_array()) return vector;
  for (const json::value& number : value.get_array()) {
    if (!number.is_number()) return {};
    const double exact = number.is_double() ? number.get_double() : number.to_number<double>();
    if (!(std::fabs(exact) <= std::numeric_limits<float>::max())) return {};
    vector.push_back(static_cast<float>(exact));
  }
  return vector;
}

// Returns why a server cannot have read all of a prompt, by the tokens that it counted; nullopt if it may have.
std::optional<Failure> WhyCut(const Asked& asked, const Answer& answer, int status) {
  // Servers leave out a count that is 0. Those before 0.4 did not count the part of a prompt that they remembered.
  if (answer.input_tokens.value_or(0) == 0) return std::nullopt;
  const int64_t read = *answer.input_tokens;
  const auto too_long = [&](std::string_view what) {
    return PromptTooLong(status,
                         fmt::format("the server read {} tokens of the prompt, {}; raise `num_ctx` (now {}), or "
                                     "use a model with a larger context",
                                     read, what, asked.num_ctx));
  };
  if (read < asked.tokens_at_least) {
    return too_long(fmt::format("which has at least {}: it cut the rest off", asked.tokens_at_least));
  }
  if (read >= asked.num_ctx) return too_long("all that its context holds");
  // The server may count the token that ended the answer.
  if (read + answer.output_tokens.value_or(0) > asked.num_ctx + 1) {
    return too_long("of which it forgot some while it wrote the answer");
  }
  return std::nullopt;
}

}  // namespace

std::optional<Failure> ChatReader::Read(std::string_view line, std::string& delta) {
  const StatusOr<json::value> value = ParseReply(line);
  if (!value.ok() || !value->is_object()) {
    return BadResponse(status_, "a line of the server's answer is not a JSON object: " + Excerpt(line));
  }
  if (is_done_) return BadResponse(status_, "the server's answer continues after its end: " + Excerpt(line));
  if (const json::value* error = ErrorOf(*value)) return ReadError(*value, *error);
  if (std::optional<Failure> failure = ReadMessage(*value, delta)) return failure;
  if (answer_.reported_model.empty()) answer_.reported_model = TextAt(*value, "model");
  if (IsTrue(FindPath(*value, "done"))) ReadEnd(*value, delta);
  return std::nullopt;
}

Failure ChatReader::ReadError(const json::value& line, const json::value& error) const {
  Failure failure = ReadErrorLine(line, error, asked_.model);
  // A server that breaks down in the middle of an answer has cut it.
  if (failure.outcome == Outcome::kServerError && !answer_.text.empty()) failure.outcome = Outcome::kPartial;
  failure.http_status = status_;
  return failure;
}

std::optional<Failure> ChatReader::ReadMessage(const json::value& line, std::string& delta) {
  if (const json::value* calls = FindPath(line, "message.tool_calls");
      calls != nullptr && calls->is_array() && !calls->get_array().empty()) {
    return BadResponse(status_, "the model calls a tool, although none was offered");
  }
  const json::value* content = FindPath(line, "message.content");
  if (content == nullptr || content->is_null()) return std::nullopt;
  if (!content->is_string())
    return BadResponse(status_, "`message.content` is not a text: " + Excerpt(json::serialize(*content)));
  const std::string text = reasoning_.Take({content->get_string().data(), content->get_string().size()});
  answer_.text += text;
  delta += text;
  return std::nullopt;
}

void ChatReader::ReadEnd(const json::value& line, std::string& delta) {
  is_done_ = true;
  const std::string text = reasoning_.End();
  answer_.text += text;
  delta += text;
  done_reason_ = TextAt(line, "done_reason");
  answer_.input_tokens = CountAt(line, "prompt_eval_count");
  answer_.output_tokens = CountAt(line, "eval_count");
}

Action ChatReader::End() {
  if (!is_done_) return Fail{CutStream(status_, "the server's answer ended before its last line (`done: true`)")};
  if (done_reason_ != "stop" && done_reason_ != "length") {
    return Fail{BadResponse(status_, fmt::format("the server ended its answer with done_reason `{}`, which is neither "
                                                 "`stop` nor `length`",
                                                 Excerpt(done_reason_)))};
  }
  if (std::optional<Failure> cut = WhyCut(asked_, answer_, status_)) return Fail{*std::move(cut)};
  answer_.finish_reason = done_reason_ == "stop" ? FinishReason::kStop : FinishReason::kLength;
  return Done{std::move(answer_)};
}

Action ReadEmbeddings(const Asked& asked, size_t texts, std::optional<int32_t> dimensions, const Response& response) {
  const int status = response.status;
  if (status < 200 || status >= 300) return Fail{ReadFailure(response, asked.model)};
  const auto bad = [&](std::string message) { return Fail{BadResponse(status, std::move(message))}; };
  const StatusOr<json::value> value = ParseReply(response.body);
  if (!value.ok() || !value->is_object())
    return bad("the server's answer is not a JSON object: " + Excerpt(response.body));
  if (const json::value* error = ErrorOf(*value)) {
    Failure failure = ReadErrorLine(*value, *error, asked.model);
    failure.http_status = status;
    return Fail{std::move(failure)};
  }
  const json::value* vectors = FindPath(*value, "embeddings");
  if (vectors == nullptr || !vectors->is_array()) return bad("the server's answer has no `embeddings`");
  if (vectors->get_array().size() != texts) {
    return bad(fmt::format("the server embedded {} of {} texts", vectors->get_array().size(), texts));
  }
  Answer answer;
  for (const json::value& numbers : vectors->get_array()) {
    std::vector<float> vector = VectorOf(numbers);
    const size_t expected = dimensions               ? static_cast<size_t>(*dimensions)
                            : answer.vectors.empty() ? vector.size()
                                                     : answer.vectors.front().size();
    if (vector.empty()) return bad("an embedding is not a list of finite numbers");
    if (vector.size() != expected) {
      return bad(fmt::format("an embedding has {} numbers instead of {}", vector.size(), expected));
    }
    answer.vectors.push_back(std::move(vector));
  }
  answer.input_tokens = CountAt(*value, "prompt_eval_count");
  answer.reported_model = TextAt(*value, "model");
  // Each text has a context of its own, so that only their sum can be checked.
  if (answer.input_tokens.value_or(0) > 0 && *answer.input_tokens < asked.tokens_at_least) {
    return Fail{
        PromptTooLong(status, fmt::format("the server read {} tokens of texts that have at least {}: it cut the "
                                          "rest off; raise `num_ctx` (now {}) or split the texts",
                                          *answer.input_tokens, asked.tokens_at_least, asked.num_ctx))};
  }
  return Done{std::move(answer)};
}

}  // namespace millrace::backend::ollama

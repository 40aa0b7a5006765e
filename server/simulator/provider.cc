#include "server/simulator/provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <optional>

#include "backends/simulated/simulated.h"
#include "server/base/digest.h"
#include "server/base/json.h"

namespace millrace::simulator {
namespace {

// The parts of a request that the provider looks at.
struct ParsedRequest {
  std::string question;
  std::string model;
  std::string schema;              // empty: text
  std::vector<std::string> texts;  // to be embedded; empty: a chat completion
  bool marked = false;
  int64_t tokens = 0;
};

int64_t TokensIn(size_t bytes) { return static_cast<int64_t>(bytes + 3) / 4; }

std::string_view TextAt(const json::value& value, std::string_view path) {
  const json::value* text = FindPath(value, path);
  if (text == nullptr || !text->is_string()) return "";
  return {text->get_string().data(), text->get_string().size()};
}

ParsedRequest Read(const std::string& body) {
  ParsedRequest asked;
  const StatusOr<json::value> value = ParseJson(body);
  if (const json::value* input = value.ok() ? FindPath(*value, "input") : nullptr; input && input->is_array()) {
    asked.model = TextAt(*value, "model");
    for (const json::value& text : input->get_array()) {
      asked.texts.emplace_back(text.get_string().data(), text.get_string().size());
      asked.tokens += TokensIn(asked.texts.back().size());
    }
    return asked;
  }
  const json::value* messages = value.ok() ? FindPath(*value, "messages") : nullptr;
  if (messages == nullptr || !messages->is_array()) {
    asked.question = "no messages";
    return asked;
  }
  const size_t count = messages->get_array().size();  // a repair adds messages and counts as another question
  size_t bytes = 0;
  for (const json::value& message : messages->get_array()) {
    const std::string_view text = TextAt(message, "content");
    bytes += text.size();
    if (asked.marked || TextAt(message, "role") != "user") continue;
    const size_t begin = text.find("[[");
    const size_t end = text.find("]]");
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) continue;
    asked.question = fmt::format("{}#{}", text.substr(begin + 2, end - begin - 2), count);
    asked.marked = true;
  }
  if (!asked.marked) asked.question = fmt::format("/{}#{}", Digest::Of(body).Hex(), count);
  asked.model = TextAt(*value, "model");
  asked.tokens = TokensIn(bytes);
  if (const json::value* schema = FindPath(*value, "response_format.json_schema.schema")) {
    asked.schema = json::serialize(*schema);
  }
  return asked;
}

// Returns a number that the question and the purpose decide.
uint64_t NumberOf(const std::string& question, std::string_view purpose) {
  const Digest digest = Digest::Of(fmt::format("{}\n{}", purpose, question));
  uint64_t bits = 0;
  for (size_t i = 0; i < 8; ++i) bits = bits << 8 | static_cast<uint8_t>(digest.bytes()[i]);
  return bits;
}

// Returns a number from [0, 1), uniform over the questions: below a share, the question is one of those that fail.
double LotOf(const std::string& question, std::string_view purpose) {
  return static_cast<double>(NumberOf(question, purpose) >> 32) / 4294967296.0;
}

// The answer that leaves the provider.
struct Reply {
  int status = 200;
  std::string body;
  HttpHeaders headers = {{"Content-Type", "application/json"}};
  bool is_cut = false;  // the connection ends before the answer does
};

Task<HttpResult> Give(Reply reply, size_t bytes_sent, HttpSink& sink) {
  HttpResult result;
  result.outcome = HttpOutcome::kAnswered;
  result.status = reply.status;
  result.bytes_sent = bytes_sent;
  result.bytes_received = reply.body.size() + 100;
  bool is_wanted = co_await sink.Head(reply.status, std::move(reply.headers));
  if (is_wanted && !reply.body.empty()) is_wanted = co_await sink.Body(std::move(reply.body));
  if (!is_wanted) {
    result.outcome = HttpOutcome::kEnded;
  } else if (reply.is_cut) {
    result.outcome = HttpOutcome::kPartial;
    result.error = "connection reset";
  }
  co_return result;
}

std::string Completion(const ParsedRequest& asked, const std::string& text) {
  const int64_t tokens = TokensIn(text.size());
  json::object answer{
      {"id", "chatcmpl-1"},
      {"object", "chat.completion"},
      {"model", asked.model},
      {"choices", json::array{json::object{{"index", 0},
                                           {"finish_reason", "stop"},
                                           {"message", json::object{{"role", "assistant"}, {"content", text}}}}}},
      {"usage",
       json::object{
           {"prompt_tokens", asked.tokens}, {"completion_tokens", tokens}, {"total_tokens", asked.tokens + tokens}}}};
  return json::serialize(answer);
}

std::string TextFor(const ParsedRequest& asked, const ProviderProfile& profile) {
  if (asked.question.ends_with("#1") && LotOf(asked.question, "schema") < profile.wrong_schema) return R"({"wrong":1})";
  std::string text;
  if (asked.marked) {
    text = AnswerTo(asked.question);
  } else {
    const auto bytes = static_cast<size_t>(std::max(0, profile.answer_bytes));
    const uint64_t seed = NumberOf(asked.question, "answer");
    text = asked.schema.empty() ? backend::ExampleText(bytes, seed) : backend::ExampleFor(asked.schema, bytes, seed);
  }
  if (!asked.schema.empty() && LotOf(asked.question, "no JSON") < profile.no_json) text.resize(text.size() / 2);
  return text;
}

std::string Embeddings(const ParsedRequest& asked) {
  json::array data;
  for (size_t i = 0; i < asked.texts.size(); ++i) {
    json::array vector;
    for (const float number : VectorOf(asked.texts[i])) vector.push_back(number);
    data.push_back(json::object{{"index", i}, {"object", "embedding"}, {"embedding", std::move(vector)}});
  }
  json::object answer{{"object", "list"},
                      {"model", asked.model},
                      {"data", std::move(data)},
                      {"usage", json::object{{"prompt_tokens", asked.tokens}, {"total_tokens", asked.tokens}}}};
  return json::serialize(answer);
}

std::string Refusal(std::string_view code) {
  return fmt::format(R"({{"error":{{"message":"simulated","type":"{0}","code":"{0}"}}}})", code);
}

// Writes a request down, and returns its place.
size_t Note(const ParsedRequest& asked, int incarnation, TimePoint now, std::vector<Received>& requests) {
  requests.push_back({.question = asked.question,
                      .texts = asked.texts,
                      .model = asked.model,
                      .incarnation = incarnation,
                      .received = now,
                      .left = {}});
  return requests.size() - 1;
}

}  // namespace

std::map<std::string, int> ProviderLog::PerQuestion() const {
  std::map<std::string, int> counts;
  for (const Received& request : requests) ++counts[request.question];
  return counts;
}

std::string AnswerTo(const std::string& question) {
  // The number of messages does not count: a repaired answer is the one that the first should have been.
  const std::string name = question.substr(0, question.rfind('#'));
  return fmt::format(R"({{"summary":"about {} {}"}})", name, Digest::Of(name).Hex().substr(0, 12));
}

std::vector<float> VectorOf(const std::string& text) {
  std::vector<float> vector;
  // Multiples of 1/256 are the same in JSON and as 32-bit numbers.
  for (size_t i = 0; i < 4; ++i) {
    vector.push_back(static_cast<float>(1 + static_cast<uint8_t>(Digest::Of(text).bytes()[i])) / 256.0F);
  }
  return vector;
}

SimulatedProvider::SimulatedProvider(Loop& loop, ProviderLog& log, ProviderProfile profile, Random random,
                                     int incarnation)
    : loop_(loop), log_(log), profile_(profile), random_(random), incarnation_(incarnation) {}

Duration SimulatedProvider::DrawLatency() {
  const double factor = std::exp(profile_.latency_sigma * random_.Normal());
  return Duration(static_cast<int64_t>(static_cast<double>(profile_.latency_median.count()) * factor));
}

Task<HttpResult> SimulatedProvider::Send(HttpRequest request, HttpLimits limits, HttpSink& sink) {
  // Makes every draw for every request, so that switching one failure off does not move the draws of the others.
  const Duration latency = DrawLatency();
  double lot = random_.Uniform();
  const auto falls_to = [&lot](double share) {
    lot -= share;
    return lot < 0;
  };
  if (falls_to(profile_.refused)) {
    co_await loop_.Sleep(std::chrono::milliseconds(1));
    HttpResult result;
    result.error = "connection refused";
    co_return result;
  }

  const ParsedRequest asked = Read(request.body);
  const std::string& question = asked.question;
  const bool embeds = !asked.texts.empty();
  std::vector<Received>& requests = embeds ? log_.embeds : log_.requests;
  const size_t at = Note(asked, incarnation_, loop_.Now(), requests);
  const auto leave = [this, at, &requests](Fate fate) {
    requests[at].fate = fate;
    requests[at].left = loop_.Now();
  };

  const bool rate_limited = falls_to(profile_.rate_limited);
  const Duration age = loop_.Now().time_since_epoch();
  const auto is_within = [age](Duration at, Duration lasts) { return age >= at && age < at + lasts; };
  const bool is_down = is_within(profile_.down_at, profile_.down_for);
  const bool is_locked = is_within(profile_.locked_at, profile_.locked_for);
  const bool server_error = !rate_limited && (falls_to(profile_.server_error) || is_down);
  const bool cut_before = !rate_limited && !server_error && falls_to(profile_.cut_before_answer);
  const bool cut_in = !rate_limited && !server_error && !cut_before && falls_to(profile_.cut_in_answer);
  const bool hang = !rate_limited && !server_error && !cut_before && !cut_in && falls_to(profile_.hangs);
  const bool malformed =
      !rate_limited && !server_error && !cut_before && !cut_in && !hang && falls_to(profile_.malformed);
  const bool retry_after = random_.Chance(0.5);

  const std::string text = embeds ? std::string() : TextFor(asked, profile_);
  const bool fails = rate_limited || server_error || cut_before || cut_in;
  const Duration writing = fails ? Duration(0) : TokensIn(text.size()) * profile_.time_per_token;
  const TimePoint end = hang ? kNever : loop_.Now() + latency + writing;
  const TimePoint time_limit = std::min(limits.deadline, loop_.Now() + limits.first_byte);
  Event over(loop_);
  std::optional<StopSignal::Watch> watch;
  if (limits.stop) watch.emplace(*limits.stop, [&over] { over.NotifyAll(); });
  bool cancelled = limits.stop && limits.stop->stopped();
  if (!cancelled) cancelled = co_await over.WaitUntil(std::min(end, time_limit));
  watch.reset();

  HttpResult result;
  result.bytes_sent = request.body.size();
  if (cancelled || end > time_limit) {
    leave(Fate::kLost);
    result.outcome = cancelled ? HttpOutcome::kCancelled : HttpOutcome::kUnknown;
    result.error = cancelled ? "cancelled" : "no answer in time";
    co_return result;
  }
  if (cut_before) {
    leave(Fate::kLost);
    result.outcome = HttpOutcome::kUnknown;
    result.error = "connection reset";
    co_return result;
  }
  Reply reply;
  if (is_locked) {
    leave(Fate::kRejected);
    reply.status = 401;
    reply.body = Refusal("invalid_api_key");
  } else if (!embeds && LotOf(question, "refuses") < profile_.refuses_for_good) {
    leave(Fate::kRefused);
    reply.status = 400;
    reply.body = Refusal("invalid_request_error");
  } else if (rate_limited) {
    leave(Fate::kRejected);
    reply.status = 429;
    reply.body = Refusal("rate_limit_exceeded");
    if (retry_after) reply.headers.push_back({"Retry-After", "2"});
  } else if (server_error) {
    leave(Fate::kRejected);
    reply.status = retry_after ? 503 : 500;
    reply.body = Refusal("server_error");
  } else {
    leave(cut_in ? Fate::kLost : malformed ? Fate::kMalformed : Fate::kAnswered);
    reply.body = embeds ? Embeddings(asked) : Completion(asked, text);
    reply.is_cut = cut_in;
    if (cut_in || malformed) reply.body.resize(reply.body.size() / 2);
  }
  co_return co_await Give(std::move(reply), request.body.size(), sink);
}

}  // namespace millrace::simulator

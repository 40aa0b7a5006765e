#include "server/simulator/provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "server/base/digest.h"
#include "server/base/json.h"

namespace millrace::simulator {
namespace {

// The question of a request body: the mark in its first user message, and how many messages there are (a repair adds
// some, and is a question of its own).
std::string QuestionOf(const std::string& body) {
  const StatusOr<json::value> value = ParseJson(body);
  if (!value.ok()) return "no JSON";
  const json::value* messages = FindPath(*value, "messages");
  if (messages == nullptr || !messages->is_array()) return "no messages";
  for (const json::value& message : messages->get_array()) {
    const json::value* role = FindPath(message, "role");
    const json::value* content = FindPath(message, "content");
    if (role == nullptr || content == nullptr || !content->is_string() || *role != "user") continue;
    const std::string_view text(content->get_string().data(), content->get_string().size());
    const size_t begin = text.find("[[");
    const size_t end = text.find("]]");
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) continue;
    return fmt::format("{}#{}", text.substr(begin + 2, end - begin - 2), messages->get_array().size());
  }
  return "no mark";
}

// Uniform over [0, 1), fixed by the question: whether this question is one of the troublesome ones.
double LotOf(const std::string& question, std::string_view purpose) {
  const Digest digest = Digest::Of(fmt::format("{}\n{}", purpose, question));
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits = bits << 8 | static_cast<uint8_t>(digest.bytes()[static_cast<size_t>(i)]);
  return bits / 4294967296.0;
}

HttpResult Whole(int status, std::string body) {
  HttpResult result;
  result.outcome = HttpOutcome::kAnswered;
  result.status = status;
  result.body = std::move(body);
  result.headers = {{"Content-Type", "application/json"}};
  result.bytes_received = result.body.size() + 100;
  return result;
}

std::string Completion(const std::string& text) {
  json::object answer{
      {"id", "chatcmpl-1"},
      {"object", "chat.completion"},
      {"model", "m"},
      {"choices", json::array{json::object{{"index", 0},
                                           {"finish_reason", "stop"},
                                           {"message", json::object{{"role", "assistant"}, {"content", text}}}}}},
      {"usage", json::object{{"prompt_tokens", 10}, {"completion_tokens", 5}, {"total_tokens", 15}}}};
  return json::serialize(answer);
}

std::string Refusal(std::string_view code) {
  return fmt::format(R"({{"error":{{"message":"simulated","type":"{0}","code":"{0}"}}}})", code);
}

}  // namespace

std::map<std::string, int> ProviderLog::PerQuestion() const {
  std::map<std::string, int> counts;
  for (const Received& request : requests) ++counts[request.question];
  return counts;
}

std::string AnswerTo(const std::string& question) {
  // Without the number of messages: a repaired answer is the answer that should have been given at once.
  const std::string name = question.substr(0, question.rfind('#'));
  return fmt::format(R"({{"summary":"about {} {}"}})", name, Digest::Of(name).Hex().substr(0, 12));
}

SimulatedProvider::SimulatedProvider(Loop& loop, ProviderLog& log, ProviderHabits habits, Random random, int life)
    : loop_(loop), log_(log), habits_(habits), random_(random), life_(life) {}

Duration SimulatedProvider::DrawLatency() {
  const double factor = std::exp(habits_.latency_sigma * random_.Normal());
  return Duration(static_cast<int64_t>(static_cast<double>(habits_.latency_median.count()) * factor));
}

Task<HttpResult> SimulatedProvider::Send(HttpRequest request, HttpLimits limits, HttpCancel* cancel) {
  // Every draw is made for every request, so that one habit switched off does not move the draws of the others.
  const Duration latency = DrawLatency();
  double lot = random_.Uniform();
  const auto falls_to = [&lot](double share) {
    lot -= share;
    return lot < 0;
  };
  if (falls_to(habits_.refused)) {
    co_await loop_.Sleep(std::chrono::milliseconds(1));
    HttpResult result;
    result.error = "connection refused";
    co_return result;
  }

  const size_t at = log_.requests.size();
  const std::string question = QuestionOf(request.body);
  log_.requests.push_back({.question = question, .life = life_, .received = loop_.Now(), .left = {}});
  const auto leave = [this, at](Fate fate) {
    log_.requests[at].fate = fate;
    log_.requests[at].left = loop_.Now();
  };

  const bool rate_limited = falls_to(habits_.rate_limited);
  const bool server_error = !rate_limited && falls_to(habits_.server_error);
  const bool cut_before = !rate_limited && !server_error && falls_to(habits_.cut_before_answer);
  const bool cut_in = !rate_limited && !server_error && !cut_before && falls_to(habits_.cut_in_answer);
  const bool hang = !rate_limited && !server_error && !cut_before && !cut_in && falls_to(habits_.hangs);
  const bool malformed =
      !rate_limited && !server_error && !cut_before && !cut_in && !hang && falls_to(habits_.malformed);
  const bool retry_after = random_.Chance(0.5);

  const TimePoint end = hang ? kNever : loop_.Now() + latency;
  const TimePoint patience = std::min(limits.deadline, loop_.Now() + limits.first_byte);
  Event over(loop_);
  if (cancel != nullptr) cancel->OnCancel([&over] { over.NotifyAll(); });
  bool cancelled = cancel != nullptr && cancel->cancelled();
  if (!cancelled) cancelled = co_await over.WaitUntil(std::min(end, patience));
  if (cancel != nullptr) cancel->OnCancel(nullptr);

  HttpResult result;
  result.bytes_sent = request.body.size();
  if (cancelled || end > patience) {
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
  if (LotOf(question, "refuses") < habits_.refuses_for_good) {
    leave(Fate::kRefused);
    co_return Whole(400, Refusal("invalid_request_error"));
  }
  if (rate_limited) {
    leave(Fate::kRejected);
    result = Whole(429, Refusal("rate_limit_exceeded"));
    if (retry_after) result.headers.push_back({"Retry-After", "2"});
    co_return result;
  }
  if (server_error) {
    leave(Fate::kRejected);
    co_return Whole(retry_after ? 503 : 500, Refusal("server_error"));
  }
  std::string body = Completion(AnswerTo(question));
  if (question.ends_with("#1") && LotOf(question, "schema") < habits_.wrong_schema) {
    body = Completion(R"({"wrong":1})");
  }
  if (cut_in) {
    leave(Fate::kLost);
    result = Whole(200, body.substr(0, body.size() / 2));
    result.outcome = HttpOutcome::kPartial;
    result.error = "connection reset";
    co_return result;
  }
  if (malformed) {
    leave(Fate::kMalformed);
    co_return Whole(200, body.substr(0, body.size() / 2));
  }
  leave(Fate::kAnswered);
  co_return Whole(200, std::move(body));
}

}  // namespace millrace::simulator

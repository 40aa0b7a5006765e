#include "tests/contract/drive.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/base/utf8.h"

namespace millrace::backend {
namespace {

constexpr size_t kMessageBytesMax = 1024;
// Limits of the work for large responses.
constexpr size_t kSplitsMax = 2000;
constexpr size_t kSplitBytesMax = 4u << 20;  // over all splits
constexpr size_t kSingleBytesMax = 64u << 10;

std::string_view FinishName(FinishReason reason) {
  constexpr std::string_view kNames[] = {"stop", "length", "content_filter", "refusal", "other"};
  return kNames[static_cast<size_t>(reason)];
}

std::string Count(const std::optional<int64_t>& count) { return count ? std::to_string(*count) : "?"; }

// Checks what holds for every result.
void Check(const Ended& ended, const Response& response) {
  EXPECT_TRUE(IsUtf8(ended.deltas));
  if (const auto* done = std::get_if<Done>(&ended.action)) {
    EXPECT_TRUE(IsUtf8(done->answer.text));
    EXPECT_TRUE(done->answer.text.starts_with(ended.deltas)) << done->answer.text << " / " << ended.deltas;
    EXPECT_GE(done->answer.input_tokens.value_or(0), 0);
    EXPECT_GE(done->answer.output_tokens.value_or(0), 0);
    EXPECT_NE(done->answer.finish_reason, FinishReason::kOther) << "an end that is not understood is a failure";
    return;
  }
  const auto* fail = std::get_if<Fail>(&ended.action);
  ASSERT_NE(fail, nullptr) << "neither an answer nor a failure";
  const Failure& failure = fail->failure;
  EXPECT_FALSE(failure.message.empty());
  EXPECT_LE(failure.message.size(), kMessageBytesMax);
  EXPECT_TRUE(IsUtf8(failure.message));
  EXPECT_EQ(failure.http_status, response.status);
  EXPECT_NE(failure.reason, Reason::kNone);
  EXPECT_GE(failure.retry_after.value_or(Duration::zero()), Duration::zero());
  // The others are outcomes of the transport, which an exchange does not see.
  for (const Outcome wrong : {Outcome::kAnswered, Outcome::kNotSent, Outcome::kUnknown, Outcome::kCancelled}) {
    EXPECT_NE(failure.outcome, wrong) << Shown(ended.action);
  }
}

// Gives the body in the pieces that begin at `starts`.
Ended Give(Exchange& exchange, const Response& response, const std::vector<size_t>& starts) {
  Ended ended{exchange.Next(Head{.status = response.status, .headers = response.headers}), {}};
  const auto continues = [&] {
    const auto* more = std::get_if<More>(&ended.action);
    if (more != nullptr) ended.deltas += more->delta;
    return more != nullptr;
  };
  for (size_t i = 0; i < starts.size() && continues(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : response.body.size();
    ended.action = exchange.Next(Bytes{response.body.substr(starts[i], end - starts[i])});
  }
  if (continues()) ended.action = exchange.Next(End());
  Check(ended, response);
  return ended;
}

}  // namespace

SendHttp RequestOf(Exchange& exchange) {
  Action action = exchange.Next(Resume());
  if (auto* send = std::get_if<SendHttp>(&action)) return std::move(*send);
  ADD_FAILURE() << "the exchange does not begin with a request: " << Shown(action);
  return {};
}

Ended Drive(Exchange& exchange, const Response& response, size_t piece) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < response.body.size(); at += piece) starts.push_back(at);
  return Give(exchange, response, starts);
}

Ended DriveAll(const MakeExchange& make, const Manifest& manifest, const Response& response) {
  const auto begun = [&] {
    std::unique_ptr<Exchange> exchange = make();
    RequestOf(*exchange);
    return exchange;
  };
  const size_t size = response.body.size();
  Ended whole = Drive(*begun(), response, std::max<size_t>(size, 1));
  const std::string expected = Shown(whole.action);
  const size_t piece = size <= kSingleBytesMax ? 1 : 997;
  EXPECT_EQ(Shown(Drive(*begun(), response, piece).action), expected) << "in pieces of " << piece;
  const size_t step = size / std::min(kSplitsMax, kSplitBytesMax / (size + 1) + 1) + 1;
  for (size_t at = 1; at < size; at += step) {
    const std::string split = Shown(Give(*begun(), response, {0, at}).action);
    EXPECT_EQ(split, expected) << "split at " << at;
    if (split != expected) break;
  }
  if (response.status < 200 || response.status >= 300) return whole;  // only others are stored
  Response stored{.status = response.status, .headers = {}, .body = response.body};
  for (const std::string& name : manifest.kept_headers) {
    const std::string_view value = HeaderOf(response.headers, name);
    if (!value.empty()) stored.headers.emplace_back(name, value);
  }
  EXPECT_EQ(Shown(ReadStored(*make(), stored)), expected) << "as a stored response";
  return whole;
}

std::string_view OutcomeName(Outcome outcome) {
  constexpr std::string_view kNames[] = {"ANSWERED",     "REFUSED",     "ANSWERED_BAD", "RATE_LIMITED", "OVERLOADED",
                                         "SERVER_ERROR", "CREDENTIALS", "QUOTA",        "NOT_SENT",     "UNKNOWN",
                                         "PARTIAL",      "TOO_LARGE",   "CANCELLED",    "NO_MODEL",     "NO_HOST"};
  return kNames[static_cast<size_t>(outcome)];
}

std::string Shown(const Action& action) {
  if (const auto* done = std::get_if<Done>(&action)) {
    const Answer& answer = done->answer;
    std::string shown =
        fmt::format("answered {} \"{}\" in={} out={} model={}", FinishName(answer.finish_reason), answer.text,
                    Count(answer.input_tokens), Count(answer.output_tokens), answer.reported_model);
    for (const std::vector<float>& vector : answer.vectors) shown += fmt::format(" {}", vector);
    return shown;
  }
  if (const auto* fail = std::get_if<Fail>(&action)) {
    const Failure& failure = fail->failure;
    std::string shown =
        fmt::format("failed {} {} {}", OutcomeName(failure.outcome), NameOf(failure.reason), failure.http_status);
    if (failure.retry_after) {
      shown += fmt::format(" after {} s", std::chrono::duration<double>(*failure.retry_after).count());
    }
    return shown + ": " + failure.message;
  }
  if (std::holds_alternative<SendHttp>(action)) return "sends a request";
  return std::holds_alternative<Wait>(action) ? "waits" : "continues";
}

}  // namespace millrace::backend

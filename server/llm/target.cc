#include "server/llm/target.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/llm/admission/rate.h"
#include "server/llm/admission/reported_limit.h"
#include "server/llm/admission/retry_budget.h"
#include "server/llm/admission/slots_by_kind.h"
#include "server/llm/key.h"

namespace millrace {
namespace {

// Bound of the wait after a failure at a target that answers others.
constexpr Duration kBriefDelay = std::chrono::milliseconds(10);
// With fewer failures in a row nobody can tell bad luck from a target that fails.
constexpr int64_t kFailuresMin = 4;

// Returns the most tokens that an attempt can have taken. Its estimate has a token for four bytes, and a token has at
// least one byte; the rest are words that a provider puts around a question.
int64_t TokensMax(int64_t tokens_asked) { return 4 * tokens_asked + 1000; }

}  // namespace

Target::Target(Loop& loop, BackendEntry& entry, std::string model, const TargetSettings& settings)
    : entry_(entry), model_(std::move(model)), settings_(settings), stored_(loop) {
  const auto add = [this](auto limit) {
    auto* const kept = limit.get();
    limits_.push_back(std::move(limit));
    return kept;
  };
  if (settings.max_concurrency > 0) {
    slots_ = add(std::make_unique<FixedSlots>(settings.max_concurrency));
  } else {
    slots_ = add(std::make_unique<SlotsByKind>());
  }
  preparation_ = add(std::make_unique<Preparation>());
  hold_off_ = add(std::make_unique<HoldOff>(kRetryAfterMax));
  breaker_ = add(std::make_unique<Breaker>(settings.breaker));
  silence_ = add(std::make_unique<Silence>());
  add(std::make_unique<RetryBudget>());
  if (settings.rpm > 0) add(std::make_unique<RequestRate>(settings.rpm));
  if (settings.tpm > 0) add(std::make_unique<TokenRate>(settings.tpm));
  add(std::make_unique<ReportedLimit>(ReportedLimit::Of::kRequests));
  add(std::make_unique<ReportedLimit>(ReportedLimit::Of::kTokens));
}

std::string Target::Name() const { return fmt::format("{}/{}", entry_.name, model_); }

Estimate Target::Forecast(const Estimate& estimate) const {
  return {.tokens = forecasts_[IndexOf(estimate.kind)].Of(estimate.tokens),
          .is_retry = estimate.is_retry,
          .kind = estimate.kind};
}

std::string Target::Identity(const std::string& revision) const {
  const backend::Manifest& manifest = this->manifest();
  return CanonicalIdentity({.protocol_family = manifest.protocol_family,
                            .model = model_,
                            .revision = revision,
                            .dialect_version = manifest.dialect_version,
                            .options = manifest.answer_options});
}

TimePoint Target::NotBefore(const Estimate& estimate, TimePoint now) const {
  const Estimate forecast = Forecast(estimate);
  TimePoint begin = now;
  for (const auto& limit : limits_) begin = std::max(begin, limit->NotBefore(forecast, now));
  return begin;
}

Target::Bottleneck Target::WaitsFor(const Estimate& estimate, TimePoint now) const {
  const Estimate forecast = Forecast(estimate);
  Bottleneck last{.name = {}, .until = now, .kind = estimate.kind};
  for (const auto& limit : limits_) {
    if (const TimePoint at = limit->NotBefore(forecast, now); at > last.until) {
      last = {.name = limit->name(), .until = at, .kind = estimate.kind};
    }
  }
  return last;
}

std::string Target::TextOf(const Bottleneck& limit, TimePoint now) const {
  if (limit.name == slots_->name() && IsFullOf(limit.kind)) {
    return fmt::format("{}: {} of {} in use by {}", limit.name, in_flight(limit.kind), slots_->limit_of(limit.kind),
                       limit.kind == CallKind::kChat ? "chat" : "embeddings");
  }
  if (limit.name == slots_->name()) return fmt::format("{}: {} of {} in use", limit.name, in_flight(), slots_->limit());
  if (preparation_->holds() && limit.name == preparation_->name()) {
    return fmt::format("{}: the model is being made ready", limit.name);
  }
  if (limit.until == kNever) return fmt::format("{}: a probe is in flight", limit.name);
  const double seconds = std::chrono::duration<double>(limit.until - now).count();
  return fmt::format("{}: next in {:.{}f} s", limit.name, seconds, seconds < 10 ? 1 : 0);
}

TimePoint Target::UnavailableUntil(TimePoint now) const {
  if (preparation_->sends_elsewhere()) return kNever;
  const TimePoint until = std::max(hold_off_->NotBefore({}, now), breaker_->NotBefore({}, now));
  if (!silence_->IsSuspected(now)) return until;
  // A probe needs a slot: calls that wait for one here would not be sent elsewhere.
  return in_flight() < concurrency_limit() ? std::max(until, silence_->ProbeAt()) : kNever;
}

Admitted Target::Begin(const Estimate& estimate, TimePoint now) {
  last_used_ = now;
  const Admitted attempt{.estimate = Forecast(estimate),
                         .tokens_asked = estimate.tokens,
                         .number = ++begun_,
                         .began = now,
                         .in_flight = in_flight() + 1,
                         .in_flight_of_kind = in_flight(estimate.kind) + 1};
  for (const auto& limit : limits_) limit->Began(attempt);
  return attempt;
}

void Target::Free(const Admitted& attempt, TimePoint now) {
  last_used_ = now;
  for (const auto& limit : limits_) limit->Freed(attempt, now);
}

bool Target::End(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  const bool was_open = breaker_->is_open();
  const TimePoint held_off_until = hold_off_->until();
  AttemptEnd believed = end;
  if (end.tokens && *end.tokens > TokensMax(attempt.tokens_asked)) {
    believed.tokens = TokensMax(attempt.tokens_asked);
    NoteAbsurdTokens(*end.tokens, *believed.tokens);
  } else if (end.tokens) {
    forecasts_[IndexOf(attempt.estimate.kind)].Learn(attempt.tokens_asked, *end.tokens);
  }
  for (const auto& limit : limits_) limit->Ended(attempt, believed, now);
  if (end.outcome == backend::Outcome::kAnswered) failures_ = 0;
  if (end.was_sent && ShowsThatCallsAreAccepted(end.outcome)) {
    newest_accepted_ = std::max(newest_accepted_, attempt.number);
    refused_in_row_ = 0;
  }
  if (end.was_sent && NeedsHuman(end.outcome)) ++refused_in_row_;
  if (end.was_sent && IsTargetFault(end.outcome) && ++failures_ == 1) {
    failing_since_ = now;
    failing_from_ = attempt.in_flight;
  }
  return was_open != breaker_->is_open() || held_off_until != hold_off_->until();
}

void Target::NoteAbsurdTokens(int64_t reported, int64_t believed) {
  if (std::exchange(has_absurd_tokens_, true)) return;
  spdlog::warn(
      "{}: the provider counts {} tokens for a call that can have taken {} at most; limits of tokens count that many "
      "(logged once)",
      Name(), reported, believed);
}

void Target::Reconsider(TimePoint now) {
  failures_ = 0;
  breaker_->ProbeAt(now);
  hold_off_->Clear();
}

Task<void> Target::BeginStoring() {
  while (storing_ >= concurrency_limit()) co_await stored_.Wait();
  ++storing_;
}

void Target::EndStoring() {
  --storing_;
  stored_.NotifyOne();
}

Duration Target::RetryDelay(const RetryPolicy& policy, TimePoint now, Random& random) const {
  Duration bound = std::min(kBriefDelay, policy.initial_backoff);
  if (failures_ > std::max(kFailuresMin, failing_from_)) {
    bound = std::min(std::max(now - failing_since_, policy.initial_backoff), policy.max_backoff);
  }
  return Duration(static_cast<int64_t>(random.Uniform() * static_cast<double>(bound.count())));
}

}  // namespace millrace

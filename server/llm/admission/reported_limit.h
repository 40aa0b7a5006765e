// A limit that the provider reports with its responses (RateHint): of requests or of tokens. It acts like `rpm` or
// `tpm` of the configuration, which counts as well; the smaller one decides. The limit is taken as one per minute, as
// OpenAI, Azure and compatible servers mean it.
//
// Pacing alone is not enough, because the limit may be used by others too. So nothing begins while the rest of the
// limit is smaller than the next attempt. The rest is what the newest report says, minus all attempts that began after
// the reported one. The pause ends at the reported time of the reset, or after the Retry-After of a rejection, which is
// nearer: some say by the reset when all of the limit is there again, and by Retry-After when the next request may
// come. After a minute there is something left in any case.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "server/llm/admission/rate.h"

namespace millrace {

class ReportedLimit final : public Admission {
 public:
  enum class Of { kRequests, kTokens };
  explicit ReportedLimit(Of of) : of_(of) {}

  TimePoint NotBefore(const Estimate& estimate, TimePoint now) const override;
  void Began(const Admitted& attempt) override;
  void Freed(const Admitted&, TimePoint) override {}
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;
  std::string_view name() const override {
    return of_ == Of::kRequests ? "reported_requests_per_minute" : "reported_tokens_per_minute";
  }

  // The limit per minute; nullopt: none was reported, or not any more.
  std::optional<int64_t> limit() const { return pace_ ? std::optional(limit_) : std::nullopt; }

 private:
  int64_t AmountOf(const Estimate& estimate) const { return of_ == Of::kRequests ? 1 : estimate.tokens; }
  // Returns what the pace counts: at most the limit of a minute. A limit below what one attempt takes can't be true of
  // a provider that answers it, and must not hold the target back for hours.
  Estimate Paced(Estimate estimate) const;
  void EndPaced(const Admitted& attempt, AttemptEnd end, TimePoint now);
  void SetLimit(int64_t limit);
  void Forget();

  const Of of_;
  int64_t limit_ = 0;
  std::unique_ptr<Rate> pace_;  // null: no limit is known
  int32_t unreported_ = 0;      // answers without the limit in a row

  // The report of the newest attempt, of those that have ended.
  int64_t reported_by_ = 0;  // Admitted::number
  std::optional<int64_t> left_;
  TimePoint reset_at_{};
  // Amounts of the attempts after it, by number.
  std::deque<int64_t> begun_;
  int64_t first_begun_ = 0;  // number of the first
  int64_t begun_sum_ = 0;
};

}  // namespace millrace

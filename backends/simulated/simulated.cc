#include "backends/simulated/simulated.h"

#include <algorithm>
#include <cmath>

#include "server/base/digest.h"
#include "server/base/duration.h"
#include "server/base/random.h"

namespace millrace::backend {
namespace {

constexpr int32_t kDimensions = 64;  // of vectors, unless a question says another size

// Derives a seed from the question and the backend's seed.
uint64_t SeedOf(const Request& request, uint64_t seed) {
  Digester digester;
  digester.AddNumber(seed).AddPart(request.model).AddPart(request.output_schema);
  for (const Message& message : request.messages) digester.AddPart(message.role).AddPart(message.content);
  digester.AddNumber(static_cast<uint64_t>(request.sample_number));
  const Digest digest = digester.Finish();
  uint64_t result = 0;
  for (int i = 0; i < 8; ++i) result = result << 8 | static_cast<uint8_t>(digest.bytes()[static_cast<size_t>(i)]);
  return result;
}

int64_t TokensIn(size_t bytes) { return static_cast<int64_t>(bytes + 3) / 4; }

Failure MakeFailure(Outcome outcome, Reason reason, std::string message, int http_status) {
  Failure failure;
  failure.outcome = outcome;
  failure.reason = reason;
  failure.message = std::move(message);
  failure.http_status = http_status;
  return failure;
}

// A wait that stands for sending and answering, then the answer or failure.
class SimulatedExchange final : public Exchange {
 public:
  SimulatedExchange(Duration wait, std::optional<Failure> failure, Answer answer)
      : wait_(wait), failure_(std::move(failure)), answer_(std::move(answer)) {}

  Action Next(Input) override {
    if (!waited_) {
      waited_ = true;
      return Wait{.duration = wait_, .billable = true};
    }
    if (failure_) return Fail{*failure_};
    return Done{answer_};
  }

 private:
  const Duration wait_;
  const std::optional<Failure> failure_;
  const Answer answer_;
  bool waited_ = false;
};

class Simulated final : public Backend {
 public:
  Simulated(const v1::SimulatedProfile& profile, uint64_t seed) : profile_(profile), seed_(seed) {}

  const Manifest& manifest() const override { return manifest_; }

  EmbedLimits embed_limits(std::string_view) const override { return {.texts = 128, .tokens = 0}; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t attempt_seed) override {
    const auto* embed = std::get_if<EmbedRequest>(&question);
    const bool has_schema = embed == nullptr && !std::get<Request>(question).output_schema.empty();
    Random random(attempt_seed ^ seed_);
    // Draw all numbers for every attempt, so that setting one share to 0 does not change the other draws.
    const double factor = std::exp(profile_.latency_sigma() * random.Normal());
    double lot = random.Uniform();
    const auto falls_to = [&lot](double share) {
      const bool falls = lot >= 0 && lot < share;
      lot -= share;
      return falls;
    };
    Answer answer = embed != nullptr ? VectorsFor(*embed) : AnswerTo(std::get<Request>(question));
    auto wait = Duration(static_cast<int64_t>(static_cast<double>(ToDuration(profile_.latency()).count()) * factor));
    std::optional<Failure> failure;
    if (falls_to(profile_.rate_limited())) {
      failure = MakeFailure(Outcome::kRateLimited, Reason::kTargetFailed, "429, as the profile says", 429);
    } else if (falls_to(profile_.server_errors())) {
      failure = MakeFailure(Outcome::kServerError, Reason::kTargetFailed, "500, as the profile says", 500);
    } else if (falls_to(profile_.cut())) {
      failure = MakeFailure(Outcome::kUnknown, Reason::kTargetFailed, "connection cut, as the profile says", 0);
    } else if (falls_to(profile_.hangs())) {
      wait = std::chrono::hours(24 * 365);  // the attempt's time limit ends it
      failure = MakeFailure(Outcome::kUnknown, Reason::kTargetFailed, "no answer, as the profile says", 0);
    } else {
      wait += ToDuration(profile_.time_per_token()) * answer.output_tokens.value_or(0);
      const bool is_malformed = falls_to(profile_.malformed());
      if (is_malformed && has_schema) answer.text.resize(answer.text.size() / 2);
      if (is_malformed && embed != nullptr) answer.vectors.pop_back();
    }
    return std::make_unique<SimulatedExchange>(wait, std::move(failure), std::move(answer));
  }

 private:
  // Returns numbers drawn from -1 to 1, which depend on the text alone.
  Answer VectorsFor(const EmbedRequest& embed) const {
    Answer answer;
    answer.input_tokens = 0;
    answer.output_tokens = 0;
    answer.reported_model = embed.model;
    for (const std::string& text : embed.texts) {
      Request request;
      request.model = embed.model;
      request.messages = {{"text", text}};
      Random random(SeedOf(request, seed_));
      std::vector<float>& vector = answer.vectors.emplace_back();
      for (int32_t i = 0; i < embed.dimensions.value_or(kDimensions); ++i) {
        vector.push_back(static_cast<float>(2 * random.Uniform() - 1));
      }
      *answer.input_tokens += TokensIn(text.size());
    }
    return answer;
  }

  Answer AnswerTo(const Request& request) const {
    const uint64_t seed = SeedOf(request, seed_);
    const auto bytes = static_cast<size_t>(std::max(0, profile_.answer_bytes()));
    Answer answer;
    answer.text =
        request.output_schema.empty() ? ExampleText(bytes, seed) : ExampleFor(request.output_schema, bytes, seed);
    size_t prompt_bytes = 0;
    for (const Message& message : request.messages) prompt_bytes += message.content.size();
    answer.input_tokens = TokensIn(prompt_bytes);
    answer.output_tokens = TokensIn(answer.text.size());
    answer.reported_model = request.model;
    return answer;
  }

  const v1::SimulatedProfile profile_;
  const uint64_t seed_;
  const Manifest manifest_{
      .kind = "simulated",
      .protocol_family = "simulated",
      .dialect_version = 1,
      .free_of_charge = false,
      .may_bill = false,
      .description = "Simulated provider with latencies, errors and answers drawn from a profile and a seed."};
};

}  // namespace

std::unique_ptr<Backend> MakeSimulated(const v1::SimulatedProfile& profile, uint64_t seed) {
  return std::make_unique<Simulated>(profile, seed);
}

BackendKind SimulatedKind() {
  BackendKind kind;
  kind.name = "simulated";
  kind.make = [](const v1::BackendConfig& config) {
    return MakeSimulated(config.simulated().profile(), config.simulated().seed());
  };
  kind.check = [](v1::BackendConfig& config, const YamlFileReader& read_file, std::vector<FieldViolation>& violations) {
    v1::SimulatedBackend& simulated = *config.mutable_simulated();
    if (simulated.profile_file().empty()) return;
    if (simulated.has_profile()) {
      violations.push_back({"", "profile_file and profile are both given; only one may be"});
      return;
    }
    const Status status = read_file(simulated.profile_file(), *simulated.mutable_profile());
    if (!status.ok()) violations.push_back({"profile_file", std::string(MessageOf(status))});
  };
  return kind;
}

}  // namespace millrace::backend

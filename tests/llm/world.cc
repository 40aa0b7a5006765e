#include "tests/llm/world.h"

#include <boost/json.hpp>
#include <sstream>

#include "backends/sdk/http_call.h"
#include "server/base/json.h"
#include "server/http/url.h"
#include "server/llm/key.h"
#include "server/llm/validate.h"
#include "server/storage/ledger.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

using backend::Outcome;

backend::Failure MakeFailure(Outcome outcome, int status, Reason reason) {
  backend::Failure failure;
  failure.outcome = outcome;
  failure.reason = reason;
  failure.message = "status " + std::to_string(status);
  failure.http_status = status;
  return failure;
}

// Returns a failure as the status says it, with its Retry-After.
backend::Action FailWith(const backend::Response& answered, Outcome outcome, Reason reason) {
  backend::Failure failure = MakeFailure(outcome, answered.status, reason);
  const std::string_view after = FindHeader(answered.headers, "retry-after");
  if (!after.empty()) failure.retry_after = std::chrono::seconds(std::stoi(std::string(after)));
  return backend::Fail{std::move(failure)};
}

// Reads `requests: LIMIT REMAINING RESET_MS`, and `tokens` likewise.
backend::RateHint RateOf(const backend::Headers& headers) {
  backend::RateHint rate;
  const auto read = [&headers](const char* name, auto& limit, auto& remaining, auto& reset) {
    std::istringstream text{std::string(FindHeader(headers, name))};
    int64_t its_limit = 0;
    int64_t its_remaining = 0;
    int64_t reset_ms = 0;
    if (!(text >> its_limit >> its_remaining >> reset_ms)) return;
    limit = its_limit;
    remaining = its_remaining;
    reset = std::chrono::milliseconds(reset_ms);
  };
  read("requests", rate.limit_requests, rate.remaining_requests, rate.reset_requests);
  read("tokens", rate.limit_tokens, rate.remaining_tokens, rate.reset_tokens);
  return rate;
}

backend::Action Parse(const backend::Response& answered) {
  switch (answered.status) {
    case 200:
      break;
    case 400:
      return backend::Fail{MakeFailure(Outcome::kRefused, 400, Reason::kRequestRefused)};
    case 401:
      return FailWith(answered, Outcome::kCredentials, Reason::kProviderCredentials);
    case 402:
      return FailWith(answered, Outcome::kQuota, Reason::kProviderQuota);
    case 404:
      return backend::Fail{MakeFailure(Outcome::kNoModel, 404, Reason::kProviderModel)};
    case 429: {
      backend::Failure failure = MakeFailure(Outcome::kRateLimited, 429, Reason::kTargetFailed);
      const std::string_view after = FindHeader(answered.headers, "retry-after");
      failure.rate = RateOf(answered.headers);
      if (!after.empty()) failure.retry_after = std::chrono::seconds(std::stoi(std::string(after)));
      return backend::Fail{failure};
    }
    default:
      return backend::Fail{MakeFailure(Outcome::kServerError, answered.status, Reason::kTargetFailed)};
  }
  if (answered.body == "garbage") return backend::Fail{MakeFailure(Outcome::kAnsweredBad, 200, Reason::kBadResponse)};
  backend::Answer answer;
  answer.text = answered.body;
  answer.input_tokens = 10;
  answer.output_tokens = 5;
  const std::string_view counted = FindHeader(answered.headers, "counted");
  if (!counted.empty()) answer.input_tokens = std::stoll(std::string(counted));
  answer.rate = RateOf(answered.headers);
  const std::string_view finish = FindHeader(answered.headers, "finish");
  if (!finish.empty()) answer.finish_reason = FinishReasonOf(finish);
  return backend::Done{answer};
}

class PlainExchange final : public backend::WholeBodyExchange {
 public:
  using WholeBodyExchange::WholeBodyExchange;

 private:
  backend::Action Read(backend::Response response) const override { return Parse(response); }
};

// The provider as our process reaches it.
class Wire final : public HttpClient {
 public:
  Wire(Loop& loop, MemoryDisk& disk, Provider& provider) : loop_(loop), disk_(disk), provider_(provider) {}

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override {
    Reaction reaction;
    if (provider_.script.empty()) {
      reaction = provider_.usual(request);
    } else {
      reaction = std::move(provider_.script.front());
      provider_.script.pop_front();
    }
    HttpResult result;
    result.outcome = reaction.outcome;
    if (reaction.outcome == HttpOutcome::kNotSent) {
      result.error = reaction.no_such_host ? "no such host" : "connection refused";
      result.no_such_host = reaction.no_such_host;
      ++provider_.not_reached;
      co_return result;
    }
    const std::string begin = KeyBuilder(Table::kPending);
    const bool was_recorded = disk_.data().lower_bound(begin) != disk_.data().lower_bound(PrefixEnd(begin));
    provider_.received.push_back({request.url, request.body, request.headers, loop_.Now(), was_recorded});
    provider_.in_flight_max = std::max(provider_.in_flight_max, ++provider_.in_flight);
    co_await Answer(std::move(reaction), std::move(limits), sink, result);
    --provider_.in_flight;
    if (result.outcome == HttpOutcome::kCancelled || result.outcome == HttpOutcome::kEnded) ++provider_.closed;
    if (result.outcome == HttpOutcome::kAnswered) ++provider_.answered;
    co_return result;
  }

 private:
  Task<void> Answer(Reaction reaction, HttpLimits limits, HttpSink& sink, HttpResult& result) {
    const bool has_answer = reaction.outcome == HttpOutcome::kAnswered || !reaction.pieces.empty();
    if (reaction.pieces.empty() && !reaction.body.empty()) reaction.pieces.push_back(std::move(reaction.body));
    if (const bool may = co_await MayGoOn(reaction.latency, limits, result); !may) co_return;
    if (has_answer) {
      result.status = reaction.status;
      bool is_wanted = co_await sink.Head(reaction.status, std::move(reaction.headers));
      for (size_t i = 0; i < reaction.pieces.size() && is_wanted; ++i) {
        if (i > 0) {
          if (const bool may = co_await MayGoOn(reaction.gap, limits, result); !may) co_return;
        }
        is_wanted = co_await sink.Body(std::move(reaction.pieces[i]));
      }
      if (!is_wanted) result.outcome = HttpOutcome::kEnded;
    }
    if (result.outcome != HttpOutcome::kAnswered) result.error = "the connection was cut";
  }

  // Waits. Returns false if our process ends the request meanwhile.
  Task<bool> MayGoOn(Duration duration, const HttpLimits& limits, HttpResult& result) {
    const TimePoint end = std::min(loop_.Now() + duration, limits.deadline);
    bool is_cancelled = limits.stop != nullptr && limits.stop->stopped();
    if (!is_cancelled && limits.stop != nullptr) {
      is_cancelled = co_await limits.stop->event().WaitUntil(end);
    } else if (!is_cancelled) {
      co_await loop_.SleepUntil(end);
    }
    if (is_cancelled) {
      result.outcome = HttpOutcome::kCancelled;
      result.error = "cancelled";
    } else if (end == limits.deadline) {
      result.outcome = result.status == 0 ? HttpOutcome::kUnknown : HttpOutcome::kPartial;
      result.error = "no answer within the time limit";
    }
    co_return !is_cancelled && end != limits.deadline;
  }

  Loop& loop_;
  MemoryDisk& disk_;
  Provider& provider_;
};

Task<void> AskOnce(Calls& calls, Loop& loop, Store& store, CallContext context, CallRequest request, bool commits,
                   std::shared_ptr<World::Asked> asked) {
  asked->outcome = co_await calls.Handle(std::move(context), std::move(request));
  asked->time = loop.Now();
  if (commits) {
    // Not kept: it holds the question's claim.
    Settlement settlement = std::exchange(asked->outcome.settlement, Settlement());
    while (true) {
      Settlement copy = settlement;
      const Status status = co_await Commit(store, std::move(copy));
      if (status.ok()) break;
      co_await WaitForStore(loop, store);
    }
  }
  asked->done = true;
}

}  // namespace

std::unique_ptr<backend::Exchange> PlainBackend::Start(const backend::Question& question, uint64_t) {
  const backend::Request& request = std::get<backend::Request>(question);
  backend::SendHttp send;
  send.url = "http://provider/" + request.model;
  send.body = CanonicalRequest(request);
  send.auth = backend::HeaderAuth{.header = "Authorization", .scheme = "Bearer "};
  return std::make_unique<PlainExchange>(std::move(send));
}

CallContext OfRun(std::string run, std::string item) {
  CallContext context;
  context.run = std::move(run);
  context.stage = "s";
  context.item_ids = {std::move(item)};
  return context;
}

void WithSchema(CallRequest& request) {
  request.question.output_schema = R"({"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}})";
}

World::World(uint64_t seed) : seed_(seed) {
  v1::ModelConfig& model = *config.add_models();
  model.set_name("writer");
  v1::TargetConfig& target = *model.add_targets();
  target.set_backend("plain");
  target.set_model("m");
}

World::~World() { Crash(); }

void World::Crash() {
  if (loop_) loop_->Abandon();
  calls_.reset();
  http_.reset();
  store_.reset();
  pool_.reset();
  loop_.reset();
  provider.in_flight = 0;
}

void World::Restart() {
  Crash();
  loop_ = std::make_unique<Loop>(clock);
  pool_ = MakeInlinePool(*loop_, pool_cost);
  store_ = std::make_unique<MemoryStore>(*loop_, disk, store_options);
  http_ = std::make_unique<Wire>(*loop_, disk, provider);
  std::vector<std::unique_ptr<BackendEntry>> backends;
  for (const char* name : {"plain", "other"}) {
    auto entry = std::make_unique<BackendEntry>();
    entry->name = name;
    entry->backend = make_backend();
    entry->secret = Secret("s3cret-key");
    entry->secret_origin = OriginOf("http://provider/");
    backends.push_back(std::move(entry));
  }
  const CallDeps deps{*loop_, *pool_, *store_, *http_};
  auto calls = MakeCalls(deps, Random(++seed_), std::move(backends), config);
  if (!calls.ok()) std::abort();
  calls_ = *std::move(calls);
}

std::shared_ptr<World::Asked> World::Ask(std::string text, CallContext context,
                                         std::function<void(CallRequest&)> change) {
  if (!calls_) Restart();
  CallRequest request;
  request.model_alias = "writer";
  request.question.messages.push_back({"user", std::move(text)});
  if (change) change(request);
  auto asked = std::make_shared<Asked>();
  loop_->Spawn(AskOnce(*calls_, *loop_, *store_, std::move(context), std::move(request), commits, asked));
  return asked;
}

CallOutcome World::Answer(std::string text, CallContext context, std::function<void(CallRequest&)> change) {
  const std::shared_ptr<Asked> asked = Ask(std::move(text), std::move(context), std::move(change));
  RunUntil([&] { return asked->done; });
  return asked->outcome;
}

bool World::RunUntil(const std::function<bool()>& done, Duration limit) {
  return loop_->RunUntil(done, clock.Now() + limit);
}

void World::RunFor(Duration duration) {
  const TimePoint end = clock.Now() + duration;
  bool is_over = false;
  const Loop::Timer timer = loop_->CallAt(end, [&] { is_over = true; });
  loop_->RunUntil([&] { return is_over; }, end);
}

std::vector<v1::Attempt> World::Settled() const {
  std::vector<v1::Attempt> attempts;
  const std::string begin = KeyBuilder(Table::kSettled);
  for (auto entry = disk.data().lower_bound(begin); entry != disk.data().lower_bound(PrefixEnd(begin)); ++entry) {
    for (v1::Attempt& attempt : AttemptsOf(*Decode<storage::v1::SettledRecord>(entry->first, entry->second))) {
      attempts.push_back(std::move(attempt));
    }
  }
  return attempts;
}

int64_t World::Count(Table table) const {
  const std::string begin = KeyBuilder(table);
  return std::distance(disk.data().lower_bound(begin), disk.data().lower_bound(PrefixEnd(begin)));
}

}  // namespace millrace

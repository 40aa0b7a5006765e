// A world for tests of calls: simulated time, a store in memory, and a provider that writes down every request that it
// receives before it answers. A crash takes everything but the disk and the provider.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/http/client.h"
#include "server/llm/calls.h"
#include "server/storage/keys.h"
#include "server/storage/memory_store.h"

namespace millrace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

// What the provider does with one request.
struct Reaction {
  Duration latency = 50ms;
  HttpOutcome outcome = HttpOutcome::kAnswered;
  int status = 200;
  std::string body = "an answer";
  HttpHeaders headers = {};
  // Parts of the body, the first after `latency`, each next one after `gap`. Empty: `body` at once.
  std::vector<std::string> pieces = {};
  Duration gap = 10ms;
  bool no_such_host = false;  // kNotSent: its host name does not exist
};

// A server that outlives crashes of ours.
struct Provider {
  struct Received {
    std::string url;
    std::string body;
    HttpHeaders headers = {};
    TimePoint time;
    bool was_recorded = false;  // its attempt was in the store when it came
  };
  std::vector<Received> received;
  int64_t answered = 0;
  int64_t not_reached = 0;  // requests that failed before they were sent
  int64_t closed = 0;       // answers that our process did not read to their ends
  int in_flight = 0;
  int in_flight_max = 0;
  // Decides about the next requests, in their order; then `usual` does.
  std::deque<Reaction> script;
  std::function<Reaction(const HttpRequest&)> usual = [](const HttpRequest&) { return Reaction{}; };
};

// A provider's protocol that is as plain as can be: the question is posted as canonical JSON, the body of a 200 is the
// answer's text; `finish` may come in a header, and limits as `requests: LIMIT REMAINING RESET_MS` and `tokens`
// likewise, and the tokens of the prompt as `counted: NUMBER`. A body of `garbage` is not of the protocol.
class PlainBackend final : public backend::Backend {
 public:
  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t attempt_seed) override;

 private:
  const backend::Manifest manifest_{.kind = "plain",
                                    .protocol_family = "plain",
                                    .dialect_version = 1,
                                    .free_of_charge = false,
                                    .description = "A provider for tests."};
};

// Who asks: stage `s` of a run, for one of its items.
CallContext OfRun(std::string run, std::string item = "i");

// Wants an object with an integer `n`.
void WithSchema(CallRequest& request);

class World {
 public:
  explicit World(uint64_t seed = 1);
  ~World();

  // The process dies, with everything in it.
  void Crash();
  // A new process over the same disk and provider. Begun by the first use.
  void Restart();

  // Asks, and goes on at once. The outcome is committed as a caller would, unless `commits` is false.
  struct Asked {
    bool done = false;
    CallOutcome outcome;
    TimePoint time{};
  };
  std::shared_ptr<Asked> Ask(std::string text, CallContext context = {}, std::function<void(CallRequest&)> change = {});
  // Asks and runs until the outcome is there.
  CallOutcome Answer(std::string text, CallContext context = {}, std::function<void(CallRequest&)> change = {});

  bool RunUntil(const std::function<bool()>& done, Duration limit = 48h);
  void RunFor(Duration duration);
  Calls& calls() { return *calls_; }
  Pool& pool() { return *pool_; }
  std::shared_ptr<StopSignal> NewStop() {
    if (!loop_) Restart();
    return std::make_shared<StopSignal>(*loop_);
  }
  int64_t Count(Table table) const;
  // The attempts that are settled, in the order of the settlements.
  std::vector<v1::Attempt> Settled() const;

  SimulatedClock clock;
  MemoryDisk disk;
  MemoryStoreOptions store_options;
  Provider provider;
  std::function<std::unique_ptr<backend::Backend>()> make_backend = [] { return std::make_unique<PlainBackend>(); };
  v1::ServerConfig config;  // one alias `writer` with the target plain/m
  bool commits = true;
  Duration pool_cost{};  // of each piece of work on the pool, from the next Restart on
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<MemoryStore> store_;

 private:
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<Calls> calls_;
  uint64_t seed_;
};

}  // namespace millrace

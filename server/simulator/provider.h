// A provider of chat completions in virtual time, behind the HttpClient that real backends use: the whole path of a
// call runs as in the server, and only the far end is made up. Its log outlives crashes of the server, as a real
// provider's bill does: it is the oracle for what was sent how often.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/random.h"
#include "server/http/client.h"

namespace millrace::simulator {

// How often what goes wrong, as shares of the requests, and how long answers take.
struct ProviderHabits {
  Duration latency_median = std::chrono::milliseconds(200);
  double latency_sigma = 0.4;    // of a log-normal draw
  Duration time_per_token{};     // of the answer
  int answer_bytes = 200;        // of an answer to a question without a mark
  double refused = 0;            // connection refused: nothing is received
  double rate_limited = 0;       // 429, with Retry-After for half of them
  double server_error = 0;       // 500 or 503
  double cut_before_answer = 0;  // received, answered nowhere
  double cut_in_answer = 0;      // half of the body, then the end
  double hangs = 0;              // received, never answered
  double malformed = 0;          // 200 with a body that is no JSON
  double wrong_schema = 0;       // by question: an answer that does not fit the schema, once
  double no_json = 0;            // by question: an answer that is no JSON where a schema asks for some
  double refuses_for_good = 0;   // by question: 400
};

// What became of a request, seen from the provider.
enum class Fate {
  kInFlight,   // received, not answered; after a crash: for ever
  kAnswered,   // 200 with a whole answer left the provider
  kRejected,   // a whole 429 or 5xx left it
  kRefused,    // a whole 400 left it: so it will be for ever
  kLost,       // cut or hung
  kMalformed,  // 200 with a broken body left it
};

// One request that the provider received.
struct Received {
  // What stands between `[[` and `]]` in the first user message, else `/` and the body's digest; `#` and the number of
  // messages.
  std::string question;
  std::string model;
  int life = 0;  // of the server, from 0
  TimePoint received{};
  TimePoint left{};  // when its answer left, or the connection was cut
  Fate fate = Fate::kInFlight;
};

// Every request ever received, in order. Outlives the server's lives.
class ProviderLog {
 public:
  std::vector<Received> requests;
  // How many of them for each question.
  std::map<std::string, int> PerQuestion() const;
};

// The text that the provider answers to a question with a mark: the same in every life, so that a disturbed run can be
// compared with an undisturbed one. (To others it makes up what fits the schema, fixed by the question too.)
std::string AnswerTo(const std::string& question);

// The provider as an HTTP client of one life.
class SimulatedProvider final : public HttpClient {
 public:
  SimulatedProvider(Loop& loop, ProviderLog& log, ProviderHabits habits, Random random, int life);

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpCancel* cancel) override;

 private:
  Duration DrawLatency();

  Loop& loop_;
  ProviderLog& log_;
  const ProviderHabits habits_;
  Random random_;
  const int life_;
};

}  // namespace millrace::simulator

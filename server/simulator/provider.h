// A provider of chat completions and embeddings in virtual time, behind the HttpClient that real backends use: a call
// takes the same path as in the server, and only the far end is simulated. Its log outlives crashes of the server, as a
// real provider's bill does: it is the oracle for how often each question was sent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/random.h"
#include "server/http/client.h"

namespace millrace::simulator {

// Behaviour of the provider: failures as shares of the requests, and the time that answers take.
struct ProviderProfile {
  Duration latency_median = std::chrono::milliseconds(200);
  double latency_sigma = 0.4;    // sigma of the log-normal latency
  Duration time_per_token{};     // added for each token of the answer
  int answer_bytes = 200;        // length of an answer to a question without a mark
  double refused = 0;            // connection refused: nothing is received
  double rate_limited = 0;       // 429, with Retry-After for half of them
  double server_error = 0;       // 500 or 503
  double cut_before_answer = 0;  // received; the connection ends before the answer
  double cut_in_answer = 0;      // the connection ends after half of the body
  double hangs = 0;              // received, never answered
  double malformed = 0;          // 200 with a body that is not JSON
  double wrong_schema = 0;       // by question: the first answer does not fit the schema
  double no_json = 0;            // by question: the answer is not JSON although a schema asks for it
  double refuses_for_good = 0;   // by question: 400, each time
  Duration down_at{};            // from this time on after the simulation's start, every answer is a 500 or 503,
  Duration down_for{};           // for so long
  Duration locked_at{};          // from this time on every answer is a 401, as after a key has expired,
  Duration locked_for{};         // for so long
};

// Fate of a request as the provider sees it.
enum class Fate {
  kInFlight,   // received, not answered; stays so after a crash
  kAnswered,   // 200 with a whole answer left the provider
  kRejected,   // a whole 401, 429 or 5xx left it
  kRefused,    // a whole 400 left it; the question always gets it
  kLost,       // cut or hung
  kMalformed,  // 200 with a broken body left it
};

// One request that the provider received.
struct Received {
  // The mark: the text between `[[` and `]]` in the first user message, or `/` and the body's digest without one; then
  // `#` and the number of messages.
  std::string question;
  std::vector<std::string> texts = {};  // to be embedded; then `question` is empty
  std::string model;
  int incarnation = 0;  // the server's, from 0
  TimePoint received{};
  TimePoint left{};  // when its answer left, or the connection was cut
  Fate fate = Fate::kInFlight;
};

// Log of all requests in the order received. Outlives the server's incarnations.
class ProviderLog {
 public:
  std::vector<Received> requests;  // for chat completions
  std::vector<Received> embeds;    // for embeddings
  // Returns the number of requests by question.
  std::map<std::string, int> PerQuestion() const;
};

// Returns the answer to a question with a mark. The question alone decides it, so that a run with faults can be
// compared with one without. (Other questions get an answer that fits the schema, decided by the question as well.)
std::string AnswerTo(const std::string& question);
// Returns the vector of a text, which the text alone decides.
std::vector<float> VectorOf(const std::string& text);

// The provider as the HTTP client of one incarnation.
class SimulatedProvider final : public HttpClient {
 public:
  SimulatedProvider(Loop& loop, ProviderLog& log, ProviderProfile profile, Random random, int incarnation);

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override;

 private:
  Duration DrawLatency();

  Loop& loop_;
  ProviderLog& log_;
  const ProviderProfile profile_;
  Random random_;
  const int incarnation_;
};

}  // namespace millrace::simulator

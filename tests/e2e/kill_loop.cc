// The kill loop: one run of calls to a provider that holds each of them, across as many lives of `millraced` as it
// needs. Each life but the last ends by kill -9 at a random moment drawn from a seed. Prints how the guarantees held;
// exits with 1 if one was broken.
//
// Three witnesses: the provider's ledger (requests that were really received), the store after each kill (attempts
// recorded at that moment, read before the next life opens it), and at the end the API and the table that the run
// wrote.
#include <fmt/format.h>
#include <signal.h>
#include <sqlite3.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>

#include "client/lib/client.h"
#include "server/base/random.h"
#include "tests/e2e/attempts_on_disk.h"
#include "tests/e2e/process.h"
#include "tests/e2e/provider_ledger.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using SteadyClock = std::chrono::steady_clock;

struct Options {
  int rounds = 30;
  int calls = 6000;
  uint64_t seed = 1;
  int hold_ms = 50;
  int slots = 20;
  int kill_ms = 1000;
  std::string durability = "sync";
};

template <typename T>
T Value(StatusOr<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().ToString());
  return *std::move(result);
}

// Attempts that the store had recorded when a life ended.
using Moment = std::map<std::string, AttemptsOfItem>;  // by item

// State after the run has ended.
struct End {
  v1::Run run;
  std::map<std::string, std::string> digests;  // by item: digest of the request that its answer belongs to
  std::map<std::string, int> rows;             // by item: number of rows in the table
  std::map<std::string, int> items;            // by item: number of times that the run lists it as ok
  std::map<std::string, int> attempts;         // by item: number that the API lists
};

// Numbers of violations of each guarantee.
struct Broken {
  int sent_again = 0;  // requests whose answer was already stored
  int lost = 0;
  int doubled = 0;
  int unrecorded = 0;  // requests that the provider received and the store had not recorded
  int over = 0;        // sends of a call beyond 1 + the kills while it was in flight
  int strange = 0;

  bool IsNothing() const { return sent_again + lost + doubled + unrecorded + over + strange == 0; }
};

class KillLoop {
 public:
  explicit KillLoop(const Options& options)
      : options_(options),
        random_(options.seed),
        ledger_(workspace_.path() / "ledger.txt"),
        provider_(
            {MILLRACE_OPENAI_SERVER, "--hold-ms", std::to_string(options.hold_ms), "--ledger", Path("ledger.txt")}),
        address_(fmt::format("127.0.0.1:{}", FreePort())) {
    if (!provider_.WaitForOutput([](const std::string& out, const std::string&) { return out.ends_with('\n'); })) {
      throw std::runtime_error("the provider does not listen");
    }
    std::string out;
    provider_.WaitForOutput([&out](const std::string& printed, const std::string&) {
      out = printed;
      return true;
    });
    WriteFiles(out.substr(out.find_last_of(' ') + 1, out.find('\n') - out.find_last_of(' ') - 1));
  }

  // Returns true if every guarantee held.
  bool Run();

 private:
  std::string Path(const std::string& name) const { return (workspace_.path() / name).string(); }
  void WriteFiles(const std::string& provider_port) const;
  std::unique_ptr<Process> Serve() const;
  void CreateRun();
  // Kills the server at its moment; returns false if the run ended before that.
  bool Strike(Process& server, int life);
  Moment Look(int life);
  End Finish();
  void ReadTable(End& end) const;
  bool Judge(const End& end) const;

  const Options options_;
  Random random_;
  Workspace workspace_;
  ProviderLedger ledger_;
  Process provider_;
  const std::string address_;
  std::string run_;
  std::vector<Moment> moments_;  // by life
};

void KillLoop::WriteFiles(const std::string& provider_port) const {
  std::string csv = "id,text\n";
  for (int i = 0; i < options_.calls; ++i) csv += fmt::format("item-{:06},the quick brown fox number {} jumps\n", i, i);
  workspace_.Write("items.csv", csv);
  workspace_.Write("millraced.yaml",
                   fmt::format("grpc: {{address: '{}'}}\n"
                               "data_dir: data\n"
                               "durability: {}\n"
                               "files: {{read: [.], write: [.]}}\n"
                               "backends:\n  - {{name: provider, openai: {{base_url: 'http://127.0.0.1:{}/v1'}}}}\n"
                               "models:\n  - name: writer\n"
                               "    targets: [{{backend: provider, model: m, limits: {{max_concurrency: {}}}}}]\n"
                               "    retry: {{initial_backoff: 50ms, max_backoff: 1s}}\n",
                               address_, options_.durability, provider_port, options_.slots));
}

std::unique_ptr<Process> KillLoop::Serve() const {
  return std::make_unique<Process>(std::vector<std::string>{MILLRACE_SERVER_PROGRAM, "--config", "millraced.yaml"},
                                   ProcessOptions{.directory = workspace_.path(), .environment = {}, .input = ""});
}

void KillLoop::CreateRun() {
  const Finished created = RunProgram(
      {MILLRACE_COMMAND, "run", MILLRACE_CALLS_PIPELINE, "--server", address_, "--request-id", "kill-loop", "--detach"},
      {.directory = workspace_.path(), .environment = {}, .input = ""});
  if (created.exit != 0) throw std::runtime_error(created.err);
  run_ = created.out.substr(0, created.out.find('\n'));
}

bool KillLoop::Strike(Process& server, int life) {
  const size_t before = ledger_.requests().size();
  const auto begin = SteadyClock::now();
  while (ledger_.requests().size() == before) {
    ledger_.AwaitChange(1s);
    ledger_.Read(life);
    if (SteadyClock::now() - begin < 20s) continue;
    v1::GetRunRequest request;
    request.set_run(run_);
    const StatusOr<v1::GetRunResponse> response = client::Client::Dial(address_)->GetRun(request);
    if (response.ok() && response->run().state() >= v1::RUN_STATE_SUCCEEDED) return false;
    server.Signal(SIGKILL);
    throw std::runtime_error(fmt::format("life {}: no call came for 20 s\n{}{}", life,
                                         response.ok() ? response->run().DebugString() : response.status().ToString(),
                                         server.Wait().err));
  }
  const std::chrono::microseconds lives(random_.Below(static_cast<uint64_t>(options_.kill_ms) * 1000 + 1));
  if (server.EndsWithin(lives)) {
    throw std::runtime_error(fmt::format("life {}: the server ended by itself\n{}", life, server.Wait().err));
  }
  server.Signal(SIGKILL);
  server.Wait();
  return true;
}

// Waits until the provider has released the requests of the killed server, so that no request of this life counts for
// the next one.
Moment KillLoop::Look(int life) {
  const auto patience = SteadyClock::now() + 10s;
  do {
    ledger_.AwaitChange(1s);
    ledger_.Read(life);
  } while (!ledger_.quiet() && SteadyClock::now() < patience);
  return ReadAttemptsOnDisk(workspace_.path() / "data");
}

void AwaitServing(Process& server) {
  const auto serves = [](const std::string&, const std::string& err) {
    return err.find("serving on") != std::string::npos;
  };
  if (!server.WaitForOutput(serves)) throw std::runtime_error("the server does not serve: " + server.Wait().err);
}

bool KillLoop::Run() {
  std::unique_ptr<Process> server = Serve();
  AwaitServing(*server);
  CreateRun();
  for (int life = 0; life < options_.rounds; ++life) {
    if (!Strike(*server, life)) break;
    moments_.push_back(Look(life));
    server = Serve();
  }
  AwaitServing(*server);
  const End end = Finish();
  server->Signal(SIGTERM);
  if (const Finished ended = server->Wait(); ended.exit != 0) throw std::runtime_error("the last server: " + ended.err);
  ledger_.Read(static_cast<int>(moments_.size()));
  return Judge(end);
}

// Waits for the end of the run and reads all results.
End KillLoop::Finish() {
  const std::unique_ptr<client::Client> client = client::Client::Dial(address_);
  End end;
  v1::WaitRunRequest wait;
  wait.set_run(run_);
  wait.mutable_timeout()->set_seconds(300);
  end.run = Value(client->WaitRun(wait)).run();
  if (end.run.state() != v1::RUN_STATE_SUCCEEDED) {
    throw std::runtime_error("the run did not succeed: " + end.run.ShortDebugString());
  }

  v1::ListItemsRequest items;
  items.set_run(run_);
  items.set_page_size(1000);
  do {
    const v1::ListItemsResponse page = Value(client->ListItems(items));
    for (const v1::Item& item : page.items()) end.items[item.id()] += item.state() == v1::ITEM_STATE_OK ? 1 : 0;
    items.set_page_token(page.next_page_token());
  } while (!items.page_token().empty());

  v1::ListAttemptsRequest attempts;
  attempts.set_run(run_);
  attempts.set_page_size(1000);
  do {
    const v1::ListAttemptsResponse page = Value(client->ListAttempts(attempts));
    for (const v1::Attempt& attempt : page.attempts()) {
      for (const std::string& item : attempt.item_ids()) ++end.attempts[item];
    }
    attempts.set_page_token(page.next_page_token());
  } while (!attempts.page_token().empty());

  ReadTable(end);
  return end;
}

// An answer starts with the digest of its request, which connects the ledger's requests to items.
void KillLoop::ReadTable(End& end) const {
  sqlite3* database = nullptr;
  sqlite3_stmt* rows = nullptr;
  if (sqlite3_open_v2(Path("out.db").c_str(), &database, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v2(database, "SELECT id, answer FROM answers", -1, &rows, nullptr) != SQLITE_OK) {
    throw std::runtime_error(fmt::format("the table can't be read: {}", sqlite3_errmsg(database)));
  }
  const auto text = [rows](int column) {
    return std::string(reinterpret_cast<const char*>(sqlite3_column_text(rows, column)));
  };
  while (sqlite3_step(rows) == SQLITE_ROW) {
    ++end.rows[text(0)];
    end.digests[text(0)] = text(1).substr(0, 64);
  }
  sqlite3_finalize(rows);
  sqlite3_close(database);
}

bool KillLoop::Judge(const End& end) const {
  const int lives = static_cast<int>(moments_.size()) + 1;
  std::map<std::string, std::vector<int>> sent;  // by digest: number of sends in each life
  for (const ProviderLedger::Request& request : ledger_.requests()) {
    std::vector<int>& by_life = sent[request.digest];
    by_life.resize(static_cast<size_t>(lives));
    ++by_life[static_cast<size_t>(request.life)];
  }
  const auto count_of = [](const std::map<std::string, int>& counts, const std::string& id) {
    const auto found = counts.find(id);
    return found == counts.end() ? 0 : found->second;
  };

  Broken broken;
  int most = 0;
  int answered_at_kills = 0;
  int in_flight_at_kills = 0;
  for (int i = 0; i < options_.calls; ++i) {
    const std::string id = fmt::format("item-{:06}", i);
    const int rows = count_of(end.rows, id);
    const int items = count_of(end.items, id);
    broken.lost += rows == 0 || items == 0;
    broken.doubled += rows > 1 || items > 1;
    const auto digest = end.digests.find(id);
    const auto requests = digest == end.digests.end() ? sent.end() : sent.find(digest->second);
    if (requests == sent.end()) {
      ++broken.strange;  // its answer belongs to no request
      continue;
    }
    int so_far = 0;
    int allowed = 1;
    bool answered = false;
    for (int life = 0; life < lives; ++life) {
      const int in_life = requests->second[static_cast<size_t>(life)];
      if (answered) broken.sent_again += in_life;
      so_far += in_life;
      const bool killed = life + 1 < lives;
      AttemptsOfItem left{.recorded = count_of(end.attempts, id), .answered = true};
      if (killed) {
        const Moment& attempts = moments_[static_cast<size_t>(life)];
        const auto found = attempts.find(id);
        left = found == attempts.end() ? AttemptsOfItem() : found->second;
      }
      broken.unrecorded += std::max(0, so_far - left.recorded);
      // If there are several requests in one life, all but the last were answered, or were abandoned without a reason.
      if (in_life > 1) broken.sent_again += in_life - 1;
      if (killed && in_life > 0 && !left.answered) {
        ++allowed;
        ++in_flight_at_kills;
      }
      if (killed && left.answered && !answered) ++answered_at_kills;
      answered = answered || left.answered;
    }
    broken.over += std::max(0, so_far - allowed);
    most = std::max(most, so_far);
  }
  broken.strange += static_cast<int>(sent.size()) > options_.calls;

  int64_t maybe_billed = 0;
  for (const v1::StageProgress& stage : end.run.stages()) maybe_billed += stage.maybe_billed();
  const auto sends = static_cast<int64_t>(ledger_.requests().size());
  const bool too_many = sends > options_.calls + maybe_billed;
  const int rounds = static_cast<int>(moments_.size());
  std::cout << fmt::format(
      "kill loop: {} calls held {} ms, {} at once, durability {}, seed {}; {} of {} kills; at kills {} calls in "
      "flight, {} "
      "answers stored\n"
      "answered attempts sent again: {}\n"
      "items lost: {}\n"
      "items doubled: {}\n"
      "requests that were not recorded: {}\n"
      "sends: {} <= {} calls + {} maybe billed: {}; above 1 + kills while in flight: {}; most of one call: {}\n",
      options_.calls, options_.hold_ms, options_.slots, options_.durability, options_.seed, rounds, options_.rounds,
      in_flight_at_kills, answered_at_kills, broken.sent_again, broken.lost, broken.doubled, broken.unrecorded, sends,
      options_.calls, maybe_billed, too_many ? "no" : "yes", broken.over, most);
  if (broken.strange > 0) std::cout << fmt::format("answers or requests that belong to no item: {}\n", broken.strange);
  if (rounds < options_.rounds) std::cout << "the run ended before its last kill: give it more calls\n";
  return broken.IsNothing() && !too_many && rounds == options_.rounds;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  millrace::Options options;
  CLI::App app("Kills a server again and again while it works, and counts what that cost.");
  app.add_option("--rounds", options.rounds, "Kills")->capture_default_str();
  app.add_option("--calls", options.calls, "Items, each a call of its own")->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of the moments of the kills")->capture_default_str();
  app.add_option("--hold-ms", options.hold_ms, "How long the provider holds a call")->capture_default_str();
  app.add_option("--slots", options.slots, "Calls at once")->capture_default_str();
  app.add_option("--kill-ms", options.kill_ms, "Kills come at most so long after a life's first call")
      ->capture_default_str();
  app.add_option("--durability", options.durability, "sync, process or {interval: 50ms}")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return millrace::KillLoop(options).Run() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kill loop: " << error.what() << "\n";
    return 2;
  }
}

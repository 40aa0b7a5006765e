// Promises that must hold after every scenario. Each has a label that violations carry (G1, G3, G6 to G9).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "server/simulator/scenario_runner.h"

namespace millrace::simulator {
namespace {

using std::chrono_literals::operator""ms;

class Checker {
 public:
  Checker(const Scenario& scenario, const ScenarioResult& result, const ScenarioResult& reference)
      : scenario_(scenario), result_(result), reference_(reference) {}

  std::vector<std::string> Run() {
    if (!result_.ended) {
      Broken(fmt::format("the run did not end: {}", result_.problem));
      return violations_;
    }
    CheckSends();
    CheckRecorded();
    CheckSettled();
    CheckItems();
    CheckCounts();
    CheckEvents();
    CheckSinks();
    CheckCancel();
    CheckCreated();
    CheckSecondRun();
    CheckLimits();
    CheckTextsSent();
    CheckVectors();
    return violations_;
  }

 private:
  void Broken(std::string what) { violations_.push_back(std::move(what)); }

  bool LostPower() const {
    return std::any_of(result_.crashes.begin(), result_.crashes.end(), [](const Crash& d) { return d.power_loss; });
  }
  // A power loss may lose commits that were not yet synced.
  bool MayForget() const { return LostPower() && scenario_.durable != Durable::kSync; }

  // Returns true if the server may not have stored the request's answer before it crashed: it was not answered, or only
  // just before.
  bool UnknownAtCrash(const Received& request) const {
    for (const Crash& crash : result_.crashes) {
      if (crash.incarnation != request.incarnation || request.received > crash.at) continue;
      if (request.fate == Fate::kInFlight || crash.disk_trouble) return true;
      if (request.left > crash.at - 200ms) return true;
      if (crash.power_loss && scenario_.durable != Durable::kSync) return true;
    }
    return false;
  }

  // Returns the question without its number of messages, which all its repairs share.
  static std::string NameOf(const std::string& question) { return question.substr(0, question.rfind('#')); }

  // Returns the questions that were refused, at first or in a repair.
  std::set<std::string> Refused() const {
    std::set<std::string> refused;
    for (const Received& request : result_.log.requests) {
      if (request.fate == Fate::kRefused) refused.insert(NameOf(request.question));
    }
    return refused;
  }

  // G1: a question is sent once, and once more for each time that its answer did not arrive.
  void CheckSends() {
    std::map<std::string, int> sends;
    std::map<std::string, int> allowed;
    for (const Received& request : result_.log.requests) {
      ++sends[request.question];
      const bool not_had = request.fate == Fate::kRejected || request.fate == Fate::kRefused ||
                           request.fate == Fate::kLost || UnknownAtCrash(request);
      if (not_had) ++allowed[request.question];
    }
    if (result_.redriven) {
      // If a repair was refused the item failed, and its redrive asks from the beginning.
      const std::set<std::string> refused = Refused();
      for (const auto& [question, count] : sends)
        allowed[question] += static_cast<int>(refused.count(NameOf(question)));
    }
    for (const auto& [question, count] : sends) {
      if (count > 1 + allowed[question]) {
        Broken(fmt::format("G1: {} was sent {} times although only {} of them got no answer", question, count,
                           allowed[question]));
      }
    }
  }

  // G3: every request that the provider received is on record, and requests that may have been billed are counted.
  void CheckRecorded() {
    if (MayForget()) return;
    std::map<std::string, int> sends;
    for (const Received& request : result_.log.requests) {
      ++sends[request.question.substr(0, request.question.find('/'))];
    }
    std::map<std::string, int> recorded;
    for (const v1::Attempt& attempt : result_.attempts) ++recorded[attempt.stage()];
    recorded[""] = static_cast<int>(result_.attempts.size());  // questions without a mark do not show their stage
    for (const auto& [stage, count] : sends) {
      if (count > recorded[stage]) {
        Broken(
            fmt::format("G3: {} requests of stage {} were received, {} are on record", count, stage, recorded[stage]));
      }
    }
    int64_t maybe_billed = 0;
    for (const v1::StageProgress& stage : result_.run.stages()) maybe_billed += stage.maybe_billed();
    int64_t lost = 0;
    for (const Received& request : result_.log.requests) lost += request.fate == Fate::kLost;
    if (result_.crashes.empty() && maybe_billed != lost && !scenario_.cancel) {
      Broken(fmt::format("G3: {} requests were lost, {} are counted as maybe billed", lost, maybe_billed));
    }
    if (!result_.crashes.empty() && maybe_billed < lost && !scenario_.cancel) {
      Broken(fmt::format("G3: {} requests were lost, only {} are counted as maybe billed", lost, maybe_billed));
    }
  }

  // G3: a run that succeeded leaves nothing open: each attempt has an outcome, and it is stored.
  void CheckSettled() {
    if (result_.run.state() != v1::RUN_STATE_SUCCEEDED) return;
    if (result_.pending > 0) Broken(fmt::format("G3: {} attempts are still pending", result_.pending));
    for (const v1::Attempt& attempt : result_.attempts) {
      if (attempt.outcome() == v1::ATTEMPT_OUTCOME_STARTED) {
        Broken(fmt::format("G3: attempt {} is still on record as started", attempt.id()));
      }
    }
  }

  static std::string KeyOf(const v1::Item& item) { return fmt::format("{}/{}", item.stage(), item.ordinal()); }
  static std::string TextOf(const v1::Item& item) {
    return fmt::format("{} {} {} {}", item.id(), v1::ItemState_Name(item.state()), item.json(),
                       v1::ErrorReason_Name(item.error().reason()));
  }

  void CompareItems(const std::vector<v1::Item>& got, const std::vector<v1::Item>& wanted, std::string_view what,
                    bool whole) {
    std::map<std::string, std::string> expected;
    for (const v1::Item& item : wanted) expected[KeyOf(item)] = TextOf(item);
    std::set<std::string> seen;
    std::set<std::string> ids;
    for (const v1::Item& item : got) {
      const std::string key = KeyOf(item);
      if (!seen.insert(key).second) Broken(fmt::format("G6: {}: item {} exists twice", what, key));
      const bool ended = item.state() >= v1::ITEM_STATE_OK;
      if (!ended && whole) Broken(fmt::format("G6: {}: item {} has not ended", what, key));
      if (!ended) continue;
      const auto it = expected.find(key);
      if (it == expected.end()) {
        Broken(fmt::format("G6: {}: item {} ({}) should not exist", what, key, TextOf(item)));
      } else if (it->second != TextOf(item)) {
        Broken(fmt::format("G6: {}: item {} is {}, without faults {}", what, key, TextOf(item), it->second));
      }
    }
    if (!whole) return;
    for (const auto& [key, text] : expected) {
      if (seen.count(key) == 0) Broken(fmt::format("G6: {}: item {} ({}) is missing", what, key, text));
    }
  }

  // G6: the items are those of the run without faults, each once.
  void CheckItems() {
    CompareItems(result_.items, reference_.items, "items", result_.run.state() != v1::RUN_STATE_CANCELLED);
    if (!scenario_.cancel && result_.run.state() != reference_.run.state()) {
      Broken(fmt::format("the run ended {}, without faults {}", v1::RunState_Name(result_.run.state()),
                         v1::RunState_Name(reference_.run.state())));
    }
  }

  // The counts that a run shows match its items and attempts.
  void CheckCounts() {
    std::map<std::string, std::map<v1::ItemState, int64_t>> counts;
    for (const v1::Item& item : result_.items) ++counts[item.stage()][item.state()];
    std::map<std::string, int64_t> attempts;
    for (const v1::Attempt& attempt : result_.attempts) ++attempts[attempt.stage()];
    for (const v1::StageProgress& stage : result_.run.stages()) {
      if (result_.sinks.stages.contains(stage.stage())) continue;  // its items are outside: CheckSinks
      std::map<v1::ItemState, int64_t>& count = counts[stage.stage()];
      const auto compare = [&](std::string_view name, int64_t shown, int64_t real) {
        if (shown != real)
          Broken(fmt::format("counts: stage {} shows {} {}, it has {}", stage.stage(), shown, name, real));
      };
      compare("ok", stage.ok(), count[v1::ITEM_STATE_OK]);
      compare("degraded", stage.degraded(), count[v1::ITEM_STATE_DEGRADED]);
      compare("failed", stage.failed(), count[v1::ITEM_STATE_FAILED]);
      compare("skipped", stage.skipped(), count[v1::ITEM_STATE_SKIPPED]);
      if (!scenario_.cancel && !scenario_.redrive && result_.crashes.empty()) {
        compare("attempts", stage.attempts(), attempts[stage.stage()]);
      }
    }
  }

  // G7: events have no gaps and report one end (and one more for each redrive).
  void CheckEvents() {
    int64_t expected = 1;
    int ends = 0;
    for (const v1::RunEvent& event : result_.events) {
      if (event.number() != expected) {
        Broken(fmt::format("G7: event {} follows event {}", event.number(), expected - 1));
        return;
      }
      ++expected;
      if (event.has_state_changed() && event.state_changed().state() >= v1::RUN_STATE_SUCCEEDED) ++ends;
    }
    if (expected == 1) Broken("G7: the run has no events");
    if (ends < 1 || ends > (scenario_.redrive ? 2 : 1)) Broken(fmt::format("G6: the run ended {} times", ends));
  }

  void CheckSinks() {
    if (result_.run.state() != v1::RUN_STATE_SUCCEEDED) return;
    for (const auto& [stage, generations] : reference_.sinks.stages) {
      const auto it = result_.sinks.stages.find(stage);
      if (it == result_.sinks.stages.end() || it->second.empty()) {
        Broken(fmt::format("G6: the sink of {} is empty", stage));
        continue;
      }
      if (it->second.back().rows != generations.back().rows) {
        Broken(fmt::format("G6: the sink of {} has {} rows, without faults {}, or other rows", stage,
                           it->second.back().rows.size(), generations.back().rows.size()));
      }
      std::set<std::string> names;
      for (const SinkWorld::Generation& generation : it->second) {
        if (!names.insert(generation.name).second) Broken("G6: a generation was written twice");
      }
    }
  }

  // G9: no call starts after CancelRun was acknowledged, and the run ends as cancelled.
  void CheckCancel() {
    if (!result_.cancelled_at) return;
    for (const Received& request : result_.log.requests) {
      if (request.received > *result_.cancelled_at + 100ms) {
        Broken(fmt::format("G9: {} was sent after the run was cancelled", request.question));
      }
    }
    if (result_.run.state() != v1::RUN_STATE_CANCELLED) {
      Broken(fmt::format("G9: the cancelled run ended {}", v1::RunState_Name(result_.run.state())));
    }
  }

  // G8: one request_id creates one run.
  void CheckCreated() {
    if (MayForget()) return;
    const std::set<std::string> names(result_.created.begin(), result_.created.end());
    if (names.size() > 1) Broken(fmt::format("G8: one request_id made {} runs", names.size()));
  }

  // A second run sends no answered question again, and has the same items.
  void CheckSecondRun() {
    if (!result_.ran_again) return;
    const std::set<std::string> refused = Refused();
    for (const std::string& question : result_.asked_again) {
      // A run that was cancelled has not asked them all.
      if (!scenario_.cancel && refused.count(NameOf(question)) == 0)
        Broken(fmt::format("a second run asked {} again", question));
    }
    CompareItems(result_.items_again, reference_.items, "second run", true);
    CheckSums();
  }

  // Each attempt counts in exactly one run, also if another run has taken its answer over. A redrive takes items out of
  // the counts, with what they have cost.
  void CheckSums() {
    if (scenario_.redrive || MayForget()) return;
    int64_t attempts = 0;
    int64_t tokens = 0;
    for (const v1::Run* run : {&result_.run_after, &result_.run_again}) {
      for (const v1::StageProgress& stage : run->stages()) {
        attempts += stage.attempts();
        tokens += stage.input_tokens() + stage.output_tokens();
      }
    }
    int64_t paid = 0;
    for (const v1::Attempt& attempt : result_.attempts_after) paid += attempt.input_tokens() + attempt.output_tokens();
    const auto recorded = static_cast<int64_t>(result_.attempts_after.size());
    if (attempts != recorded) {
      Broken(fmt::format("counts: both runs show {} attempts, {} are on record", attempts, recorded));
    }
    if (tokens != paid) Broken(fmt::format("counts: both runs show {} tokens, {} are on record", tokens, paid));
  }

  // A target's limits hold at the provider: no more requests at once than there are slots, and no minute has more than
  // `rpm` and one second's worth. A new process knows nothing of the one before.
  void CheckLimits() {
    const v1::TargetLimits& limits = scenario_.config.models(0).targets(0).limits();
    std::map<int, std::vector<const Received*>> by_incarnation;
    for (const auto* log : {&result_.log.requests, &result_.log.embeds}) {
      for (const Received& request : *log) by_incarnation[request.incarnation].push_back(&request);
    }
    for (auto& [incarnation, requests] : by_incarnation) {
      std::stable_sort(requests.begin(), requests.end(),
                       [](const Received* a, const Received* b) { return a->received < b->received; });
      if (limits.max_concurrency().has_slots()) CheckSlots(requests, limits.max_concurrency().slots());
      if (limits.rpm() > 0) CheckRate(requests, limits.rpm());
    }
  }

  void CheckSlots(const std::vector<const Received*>& requests, int64_t slots) {
    // At one time, requests leave before others come: a slot that is free is used at once.
    std::multimap<std::pair<TimePoint, bool>, int64_t> changes;
    for (const Received* request : requests) {
      changes.emplace(std::pair(request->received, true), 1);
      if (request->fate != Fate::kInFlight) changes.emplace(std::pair(request->left, false), -1);
    }
    int64_t at_once = 0;
    for (const auto& [when, change] : changes) {
      at_once += change;
      if (at_once <= slots) continue;
      Broken(fmt::format("limits: {} requests at once on {} slots", at_once, slots));
      return;
    }
  }

  void CheckRate(const std::vector<const Received*>& requests, int64_t rpm) {
    const auto most = static_cast<size_t>(rpm + rpm / 60 + 1);
    for (size_t i = most; i < requests.size(); ++i) {
      if (requests[i]->received - requests[i - most]->received >= std::chrono::seconds(60)) continue;
      Broken(fmt::format("limits: more than {} requests in a minute at {} a minute", most, rpm));
      return;
    }
    // A run is often shorter than a minute, but no second begins more than two seconds' worth.
    const auto brief = static_cast<size_t>(2 * (rpm / 60 + 1));
    for (size_t i = brief; i < requests.size(); ++i) {
      if (requests[i]->received - requests[i - brief]->received >= std::chrono::seconds(1)) continue;
      Broken(fmt::format("limits: more than {} requests in a second at {} a minute", brief, rpm));
      return;
    }
  }

  // G1: a text is sent for its vector once, and once more for each time that the vector did not arrive. A request has
  // no more texts than are allowed, and none twice.
  void CheckTextsSent() {
    const auto most = static_cast<size_t>(scenario_.config.models(0).targets(0).limits().embed_texts());
    std::map<std::string, int> sends;
    std::map<std::string, int> allowed;
    for (const Received& request : result_.log.embeds) {
      const bool not_had = request.fate == Fate::kRejected || request.fate == Fate::kLost || UnknownAtCrash(request);
      for (const std::string& text : request.texts) {
        ++sends[text];
        allowed[text] += not_had ? 1 : 0;
      }
      const std::set<std::string> different(request.texts.begin(), request.texts.end());
      if (request.texts.size() > most || different.size() < request.texts.size()) {
        Broken(fmt::format("limits: {} texts, {} of them different, in a request for at most {}", request.texts.size(),
                           different.size(), most));
      }
    }
    for (const auto& [text, count] : sends) {
      if (count <= 1 + allowed[text]) continue;
      Broken(fmt::format("G1: `{}` was embedded {} times although only {} of them got no vector", text, count,
                         allowed[text]));
    }
  }

  // Each text has its own vector.
  void CheckVectors() {
    const size_t wanted = scenario_.embeds.empty() ? 0 : scenario_.embeds.size() + 1;
    if (result_.embedded.size() < wanted) Broken("an Embed request was never answered");
    for (const Embedded& embedded : result_.embedded) {
      for (size_t i = 0; i < embedded.texts.size(); ++i) {
        const auto& vector = embedded.response.embeddings(static_cast<int>(i)).vector();
        if (std::vector<float>(vector.begin(), vector.end()) == VectorOf(embedded.texts[i])) continue;
        Broken(fmt::format("`{}` was given another vector than its own", embedded.texts[i]));
        return;
      }
    }
  }

  const Scenario& scenario_;
  const ScenarioResult& result_;
  const ScenarioResult& reference_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> Violations(const Scenario& scenario, const ScenarioResult& result,
                                    const ScenarioResult& reference) {
  return Checker(scenario, result, reference).Run();
}

std::vector<std::string> CheckSeed(uint64_t seed, Mutant mutant) {
  const Scenario scenario = DrawScenario(seed);
  const ScenarioResult reference = RunScenario(WithoutFaults(scenario));
  if (!reference.ended) return {fmt::format("without faults: the run did not end: {}", reference.problem)};
  return Violations(scenario, RunScenario(scenario, mutant), reference);
}

}  // namespace millrace::simulator

// What must hold after every scenario (RELIABILITY.md: G1, G3, G5-G9, G23 and the equality of results).
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
  Checker(const Scenario& scenario, const Played& played, const Played& reference)
      : scenario_(scenario), played_(played), reference_(reference) {}

  std::vector<std::string> Run() {
    if (!played_.ended) {
      Broken(fmt::format("the run did not end: {}", played_.trouble));
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
    return violations_;
  }

 private:
  void Broken(std::string what) { violations_.push_back(std::move(what)); }

  bool LostPower() const {
    return std::any_of(played_.deaths.begin(), played_.deaths.end(), [](const Death& d) { return d.power_loss; });
  }
  // A power loss may take with it what only an interval protected.
  bool MayForget() const { return LostPower() && scenario_.durable != Durable::kSync; }

  // Whether a request may have been unknown to the server when its life ended: not answered, or answered so shortly
  // before that the answer was not yet stored.
  bool UnknownAtDeath(const Received& request) const {
    for (const Death& death : played_.deaths) {
      if (death.life != request.life || request.received > death.at) continue;
      if (request.fate == Fate::kInFlight || death.disk_trouble) return true;
      if (request.left > death.at - 200ms) return true;
      if (death.power_loss && scenario_.durable != Durable::kSync) return true;
    }
    return false;
  }

  // Without the number of messages: what all repairs of a question have in common.
  static std::string NameOf(const std::string& question) { return question.substr(0, question.rfind('#')); }

  // Questions that were refused, as they were asked or in a repair.
  std::set<std::string> Refused() const {
    std::set<std::string> refused;
    for (const Received& request : played_.log.requests) {
      if (request.fate == Fate::kRefused) refused.insert(NameOf(request.question));
    }
    return refused;
  }

  // G1, G3, G5: a question is asked once, and once more for each time that its answer was not had.
  void CheckSends() {
    std::map<std::string, int> sends;
    std::map<std::string, int> allowed;
    for (const Received& request : played_.log.requests) {
      ++sends[request.question];
      const bool not_had = request.fate == Fate::kRejected || request.fate == Fate::kRefused ||
                           request.fate == Fate::kLost || UnknownAtDeath(request);
      if (not_had) ++allowed[request.question];
    }
    if (played_.redriven) {
      // Where a repair was refused the item failed, and its redrive asks from the beginning.
      const std::set<std::string> refused = Refused();
      for (const auto& [question, count] : sends)
        allowed[question] += static_cast<int>(refused.count(NameOf(question)));
    }
    for (const auto& [question, count] : sends) {
      if (count > 1 + allowed[question]) {
        Broken(fmt::format("G1: {} was sent {} times although only {} of them were not answered", question, count,
                           allowed[question]));
      }
    }
  }

  // Every request that the provider received is on record, and what may have been billed is counted.
  void CheckRecorded() {
    if (MayForget()) return;
    std::map<std::string, int> sends;
    for (const Received& request : played_.log.requests) {
      ++sends[request.question.substr(0, request.question.find('/'))];
    }
    std::map<std::string, int> recorded;
    for (const v1::Attempt& attempt : played_.attempts) ++recorded[attempt.stage()];
    recorded[""] = static_cast<int>(played_.attempts.size());  // of questions without a mark, whose stage can't be seen
    for (const auto& [stage, count] : sends) {
      if (count > recorded[stage]) {
        Broken(
            fmt::format("G3: {} requests of stage {} were received, {} are on record", count, stage, recorded[stage]));
      }
    }
    int64_t maybe_billed = 0;
    for (const v1::StageProgress& stage : played_.run.stages()) maybe_billed += stage.maybe_billed();
    int64_t lost = 0;
    for (const Received& request : played_.log.requests) lost += request.fate == Fate::kLost;
    if (played_.deaths.empty() && maybe_billed != lost && !scenario_.cancel) {
      Broken(fmt::format("G3: {} requests were lost, {} are counted as maybe billed", lost, maybe_billed));
    }
    if (!played_.deaths.empty() && maybe_billed < lost && !scenario_.cancel) {
      Broken(fmt::format("G3: {} requests were lost, only {} are counted as maybe billed", lost, maybe_billed));
    }
  }

  // G3: of a run that succeeded nothing is left open: each attempt has come to something, and that is stored.
  void CheckSettled() {
    if (played_.run.state() != v1::RUN_STATE_SUCCEEDED) return;
    if (played_.pending > 0) Broken(fmt::format("G3: {} attempts are still pending", played_.pending));
    for (const v1::Attempt& attempt : played_.attempts) {
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
      if (!seen.insert(key).second) Broken(fmt::format("G6: {}: item {} is there twice", what, key));
      const bool ended = item.state() >= v1::ITEM_STATE_OK;
      if (!ended && whole) Broken(fmt::format("G6: {}: item {} has not ended", what, key));
      if (!ended) continue;
      const auto it = expected.find(key);
      if (it == expected.end()) {
        Broken(fmt::format("G6: {}: item {} ({}) should not be there", what, key, TextOf(item)));
      } else if (it->second != TextOf(item)) {
        Broken(fmt::format("G6: {}: item {} is {}, undisturbed {}", what, key, TextOf(item), it->second));
      }
    }
    if (!whole) return;
    for (const auto& [key, text] : expected) {
      if (seen.count(key) == 0) Broken(fmt::format("G6: {}: item {} ({}) is missing", what, key, text));
    }
  }

  // G6: the same items as in the undisturbed run, each once.
  void CheckItems() {
    CompareItems(played_.items, reference_.items, "items", played_.run.state() != v1::RUN_STATE_CANCELLED);
    if (!scenario_.cancel && played_.run.state() != reference_.run.state()) {
      Broken(fmt::format("the run ended {}, undisturbed {}", v1::RunState_Name(played_.run.state()),
                         v1::RunState_Name(reference_.run.state())));
    }
  }

  // The counts that a run shows are those of its items and attempts.
  void CheckCounts() {
    std::map<std::string, std::map<v1::ItemState, int64_t>> counts;
    for (const v1::Item& item : played_.items) ++counts[item.stage()][item.state()];
    std::map<std::string, int64_t> attempts;
    for (const v1::Attempt& attempt : played_.attempts) ++attempts[attempt.stage()];
    for (const v1::StageProgress& stage : played_.run.stages()) {
      if (stage.kind() == "store") continue;  // its items are outside: CheckSinks
      std::map<v1::ItemState, int64_t>& count = counts[stage.stage()];
      const auto compare = [&](std::string_view name, int64_t shown, int64_t real) {
        if (shown != real)
          Broken(fmt::format("counts: {} {} shown, {} there are: {}", stage.stage(), shown, name, real));
      };
      compare("ok", stage.ok(), count[v1::ITEM_STATE_OK]);
      compare("degraded", stage.degraded(), count[v1::ITEM_STATE_DEGRADED]);
      compare("failed", stage.failed(), count[v1::ITEM_STATE_FAILED]);
      compare("skipped", stage.skipped(), count[v1::ITEM_STATE_SKIPPED]);
      if (!scenario_.cancel && !scenario_.redrive && played_.deaths.empty()) {
        compare("attempts", stage.attempts(), attempts[stage.stage()]);
      }
    }
  }

  // G7: events have no gaps and tell one end (and one more for each redrive).
  void CheckEvents() {
    int64_t expected = 1;
    int ends = 0;
    for (const v1::RunEvent& event : played_.events) {
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
    if (played_.run.state() != v1::RUN_STATE_SUCCEEDED) return;
    for (const auto& [stage, generations] : reference_.sinks.stages) {
      const auto it = played_.sinks.stages.find(stage);
      if (it == played_.sinks.stages.end() || it->second.empty()) {
        Broken(fmt::format("G6: the sink of {} is empty", stage));
        continue;
      }
      if (it->second.back().rows != generations.back().rows) {
        Broken(fmt::format("G6: the sink of {} has {} rows, undisturbed {}, or others", stage,
                           it->second.back().rows.size(), generations.back().rows.size()));
      }
      std::set<std::string> names;
      for (const SinkWorld::Generation& generation : it->second) {
        if (!names.insert(generation.name).second) Broken("G6: a generation was written twice");
      }
    }
  }

  // G9: after CancelRun was acknowledged no call starts, and the run ends cancelled.
  void CheckCancel() {
    if (!played_.cancelled_at) return;
    for (const Received& request : played_.log.requests) {
      if (request.received > *played_.cancelled_at + 100ms) {
        Broken(fmt::format("G9: {} was sent after the run was cancelled", request.question));
      }
    }
    if (played_.run.state() != v1::RUN_STATE_CANCELLED) {
      Broken(fmt::format("G9: the cancelled run ended {}", v1::RunState_Name(played_.run.state())));
    }
  }

  // G8: one request_id is one run.
  void CheckCreated() {
    if (MayForget()) return;
    const std::set<std::string> names(played_.created.begin(), played_.created.end());
    if (names.size() > 1) Broken(fmt::format("G8: one request_id made {} runs", names.size()));
  }

  // Nothing that was answered is asked again by a later run, and it reads back the same.
  void CheckSecondRun() {
    if (!played_.ran_again) return;
    const std::set<std::string> refused = Refused();
    for (const std::string& question : played_.asked_again) {
      if (refused.count(NameOf(question)) == 0) Broken(fmt::format("a second run asked {} again", question));
    }
    CompareItems(played_.items_again, reference_.items, "second run", true);
  }

  const Scenario& scenario_;
  const Played& played_;
  const Played& reference_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> Violations(const Scenario& scenario, const Played& played, const Played& reference) {
  return Checker(scenario, played, reference).Run();
}

std::vector<std::string> CheckSeed(uint64_t seed, Mutant mutant) {
  const Scenario scenario = DrawScenario(seed);
  const Played reference = Play(Undisturbed(scenario));
  if (!reference.ended) return {fmt::format("undisturbed: the run did not end: {}", reference.trouble)};
  return Violations(scenario, Play(scenario, mutant), reference);
}

}  // namespace millrace::simulator

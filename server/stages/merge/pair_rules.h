// The rules that decide about a pair of items, and what they see of it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/rules/condition.h"

namespace millrace {

// One of a pair, as far as rules look at it.
struct PairSide {
  boost::json::object fields;  // those that some rule reads
  std::optional<int64_t> first_micros;
  std::optional<int64_t> last_micros;
};

// What was decided, and on which figures.
struct PairDecision {
  std::string rule;  // empty: none decided, the pair stays apart
  bool join = false;
  double similarity = 0;
  std::optional<double> days_apart;
};

// Immutable; any thread.
class PairRules {
 public:
  // INVALID_ARGUMENT (INVALID_DEFINITION) with every wrong place.
  static StatusOr<PairRules> Compile(const v1::Merge& merge);

  // What the rules read of an item.
  PairSide Side(const boost::json::value& item) const;
  // Tries the rules in order.
  PairDecision Decide(const PairSide& left, const PairSide& right, double similarity) const;

 private:
  struct Rule {
    std::string name;
    std::optional<ConditionEvaluator> when;
    bool join = false;
  };

  std::vector<Rule> rules_;
  std::set<std::string> read_;    // names of fields that rules read of a side
  std::set<std::string> shared_;  // paths of fields that they compare
};

}  // namespace millrace

// Rules that decide about a pair of items, and the facts that they read of it.
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

// Facts about one item of a pair that rules read.
struct PairSide {
  boost::json::object fields;  // fields that some rule reads
  std::optional<int64_t> first_micros;
  std::optional<int64_t> last_micros;
};

// Decision about a pair, and the figures on which it is based.
struct PairDecision {
  std::string rule;  // name of the rule that decided; empty if none did, so that the pair stays apart
  bool join = false;
  double similarity = 0;
  std::optional<double> days_apart;
};

// Compiled rules of a merge. Immutable; any thread.
class PairRules {
 public:
  // Compiles the rules of a merge. INVALID_DEFINITION with all violations.
  static StatusOr<PairRules> Compile(const v1::Merge& merge);

  // Returns the facts that the rules read of an item. Notes times that can't be read.
  PairSide Side(const boost::json::value& item, Oddities& oddities) const;
  // Returns the decision of the first rule that holds. Notes what the rules' conditions find odd.
  PairDecision Decide(const PairSide& left, const PairSide& right, double similarity, Oddities& oddities) const;

 private:
  struct Rule {
    std::string name;
    std::optional<rules::ConditionEvaluator> when;
    bool join = false;
  };

  std::vector<Rule> rules_;
  std::set<std::string> read_;    // paths of the fields that rules read of a side
  bool reads_days_ = false;       // some rule reads days_apart
  std::set<std::string> shared_;  // paths of the fields that rules compare between sides
};

}  // namespace millrace

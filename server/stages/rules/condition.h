// Conditions over an item's fields (millrace/v1/condition.proto), compiled: patterns and constants are made once, and
// an evaluation allocates nothing. `when`, rules, gates, measures and merge decisions all use it.
#pragma once

#include <memory>

#include <boost/json/fwd.hpp>

#include "millrace/v1/condition.pb.h"
#include "server/base/status.h"

namespace millrace {

// A compiled condition. Immutable; copies share it; any thread.
class ConditionEvaluator {
 public:
  // INVALID_ARGUMENT (INVALID_DEFINITION) with every wrong place, by its path within the condition (`all[2].compare`).
  static StatusOr<ConditionEvaluator> Compile(const v1::Condition& condition);

  // Whether the condition is true of this item.
  bool Holds(const boost::json::value& item) const;

  struct Node;

 private:
  explicit ConditionEvaluator(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const Node> root_;
};

// Whether two JSON values are the same: numbers by value (1 equals 1.0), members of objects in any order.
bool JsonEquals(const boost::json::value& left, const boost::json::value& right);

}  // namespace millrace

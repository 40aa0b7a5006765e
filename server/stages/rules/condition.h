// Compiled conditions over an item's fields (millrace/v1/condition.proto). Patterns and constants are made once; an
// evaluation allocates nothing. `when`, rules, expectations, measures and merge decisions use them.
#pragma once

#include <memory>

#include <boost/json/fwd.hpp>

#include "millrace/v1/condition.pb.h"
#include "server/base/status.h"

namespace millrace::rules {

// A compiled condition. Immutable; copies share it; any thread.
class ConditionEvaluator {
 public:
  // Compiles a condition. INVALID_ARGUMENT (INVALID_DEFINITION) with every problem, by its path within the condition
  // (`all[2].compare`).
  static StatusOr<ConditionEvaluator> Compile(const v1::Condition& condition);

  // Returns true if the condition holds for this item. Patterns count their work on the thread's meter, and end it if a
  // text is too large for them (server/text/pattern.h): false means nothing then.
  bool Holds(const boost::json::value& item) const;

  struct Node;

 private:
  explicit ConditionEvaluator(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const Node> root_;
};

// Returns true if two JSON values are equal: numbers by value (1 equals 1.0), members of objects in any order.
bool JsonEquals(const boost::json::value& left, const boost::json::value& right);

}  // namespace millrace::rules

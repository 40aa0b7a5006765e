// Compiled conditions over an item's fields (millrace/v1/condition.proto). Patterns and constants are made once; an
// evaluation allocates nothing. `when`, rules, expectations, measures and merge decisions use them.
#pragma once

#include <memory>

#include <boost/json/fwd.hpp>

#include "millrace/v1/condition.pb.h"
#include "server/base/status.h"
#include "server/stages/oddity.h"

namespace millrace::rules {

// A compiled condition. Immutable; copies share it; any thread.
class ConditionEvaluator {
 public:
  // Compiles a condition. INVALID_ARGUMENT (INVALID_DEFINITION) with every problem, by its path within the condition
  // (`all[2].compare`).
  static StatusOr<ConditionEvaluator> Compile(const v1::Condition& condition);

  // Returns true if the condition holds for this item, a value from ParseExact (server/base/json.h). Numbers are
  // compared exactly. Notes in `oddities`, if it is not null, values that it meets and that were probably meant as
  // another type. Patterns count their work on the thread's meter, and end it if a text is too large for them
  // (server/text/pattern.h): false means nothing then.
  bool Holds(const boost::json::value& item, Oddities* oddities = nullptr) const;

  struct Node;

 private:
  explicit ConditionEvaluator(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const Node> root_;
};

}  // namespace millrace::rules

// Compiled rules over one item (millrace.v1.Prepare). Patterns, templates, conditions and gazetteers are made once.
// Pure: the result depends on the item alone. The kind `prepare` and the fallback of `synthesize` use them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "millrace/v1/stages.pb.h"
#include "server/base/shared_objects.h"
#include "server/base/status.h"
#include "server/stages/oddity.h"

namespace millrace::rules {

// Result of rules for one item.
struct RuleResult {
  v1::ItemState state = v1::ITEM_STATE_OK;  // OK, FAILED (VALIDATION, BAD_ITEM, TEMPLATE), SKIPPED (DROPPED)
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  std::string message;             // for people; begins with the name of the rule
  boost::json::object item;        // as the rules left it
  std::vector<std::string> notes;  // rules that changed something, with the names that they found
  Oddities oddities;
};

// Immutable; copies share; any thread.
class Rules {
 public:
  // Compiles rules. `files`: the pipeline with the definition files. Gazetteers are taken from `shared`, which may be
  // null. INVALID_ARGUMENT (INVALID_DEFINITION) with every
  // problem, by its path within the message (`rules[3].set.template`).
  static StatusOr<Rules> Compile(const v1::Prepare& prepare, const v1::Pipeline& files,
                                 SharedObjects* shared = nullptr);

  RuleResult Apply(boost::json::object item) const;

  struct Rule;

 private:
  std::shared_ptr<const std::vector<Rule>> rules_;
};

}  // namespace millrace::rules

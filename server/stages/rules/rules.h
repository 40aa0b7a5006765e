// Rules over one item (millrace.v1.Prepare), compiled: patterns, templates, conditions and gazetteers are made once.
// Pure: what becomes of an item depends on nothing else. `prepare` is made of them, and so is the fallback of
// `synthesize`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"

namespace millrace {

// What rules made of an item.
struct RuleResult {
  v1::ItemState state = v1::ITEM_STATE_OK;  // OK, FAILED (VALIDATION, BAD_ITEM, TEMPLATE), SKIPPED (DROPPED)
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  std::string message;             // for people; the rule's name stands before it
  boost::json::object item;        // as the rules left it
  std::vector<std::string> notes;  // the rules that did something, and what names were found
};

// Immutable; copies share; any thread.
class Rules {
 public:
  // `files` holds the definition files. INVALID_ARGUMENT (INVALID_DEFINITION) with every wrong place, by its path
  // within the message (`rules[3].set.template`).
  static StatusOr<Rules> Compile(const v1::Prepare& prepare, const v1::Pipeline& files);

  RuleResult Apply(boost::json::object item) const;

  struct Rule;

 private:
  std::shared_ptr<const std::vector<Rule>> rules_;
};

}  // namespace millrace

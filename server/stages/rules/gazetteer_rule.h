// The rule `look_up`: sets fields by the names of a gazetteer that an item's text has.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/rules/gazetteer.h"

namespace millrace::rules {

// A compiled look_up. Immutable; any thread.
class LookUpRule {
 public:
  // Compiles the rule. INVALID_ARGUMENT (INVALID_DEFINITION) if the gazetteer lacks a column.
  static StatusOr<LookUpRule> Make(const v1::LookUp& look_up, std::shared_ptr<const Gazetteer> gazetteer);

  // Sets the fields. Sets `found` to the names that were found, for a note; empty if there was none.
  Status Apply(boost::json::value& item, std::string& found) const;

 private:
  struct Target {
    std::string field;
    size_t column = 0;
    v1::LookUpField::Pick pick = v1::LookUpField::PICK_MOST;
    std::optional<size_t> agree_with;  // index of an earlier target
  };

  // Returns the value of a field from the rows found, in order; null: not set.
  boost::json::value PickFrom(const std::vector<size_t>& rows, const Target& target) const;

  // Returns the rows whose cell in `column` is `value`; none if it is not text.
  std::vector<size_t> Agreeing(const std::vector<size_t>& rows, size_t column, const boost::json::value& value) const;

  std::shared_ptr<const Gazetteer> gazetteer_;
  std::vector<std::string> in_;
  std::vector<Target> targets_;
};

}  // namespace millrace::rules

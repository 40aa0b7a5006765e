// The rule `look_up`: fields set from the names of a gazetteer that an item's text has.
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

namespace millrace {

// A compiled look_up. Immutable; any thread.
class LookUpRule {
 public:
  // INVALID_ARGUMENT (INVALID_DEFINITION) where the gazetteer has not the columns.
  static StatusOr<LookUpRule> Make(const v1::LookUp& look_up, std::shared_ptr<const Gazetteer> gazetteer);

  // Sets the fields. `found`: the names that were found, for a note; empty where there was none.
  Status Apply(boost::json::value& item, std::string& found) const;

 private:
  struct Target {
    std::string field;
    size_t column = 0;
    v1::LookUpField::Pick pick = v1::LookUpField::PICK_MOST;
    std::optional<size_t> agree_with;  // of the targets before it
  };

  // The value of a field from the rows found, in order; null: not set.
  boost::json::value PickFrom(const std::vector<size_t>& rows, const Target& target) const;

  // The rows whose cell in `column` is `value`; none where it is no text.
  std::vector<size_t> Agreeing(const std::vector<size_t>& rows, size_t column, const boost::json::value& value) const;

  std::shared_ptr<const Gazetteer> gazetteer_;
  std::vector<std::string> in_;
  std::vector<Target> targets_;
};

}  // namespace millrace

// The rule `convert`: text into numbers, dates and booleans.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "millrace/v1/convert.pb.h"
#include "server/base/status.h"
#include "server/stages/oddity.h"

namespace millrace::rules {

// Immutable; any thread.
class ConvertRule {
 public:
  explicit ConvertRule(const v1::ConvertField& convert);

  // Returns what is wrong with the message, by the names of its fields.
  static std::vector<FieldViolation> Check(const v1::ConvertField& convert);

  // Converts the field of `item`, an object; sets `did` to true if that changes the item. BAD_ITEM if its value can't
  // be converted, unless it may be null then, which is noted in `oddities`.
  Status Apply(boost::json::value& item, Oddities& oddities, bool& did) const;

 private:
  std::string field_;
  std::string into_;
  v1::ValueType to_;
  std::string date_format_;
  bool or_null_;
};

}  // namespace millrace::rules

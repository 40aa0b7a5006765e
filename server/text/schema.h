// JSON Schema, draft 7, for checks of models' answers. valijson does the checking, but RE2 evaluates `pattern`,
// `patternProperties` and `format`, also inside of `anyOf` and `not`, because std::regex overflows the stack.
// References that could recurse without end are refused or stopped.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "server/base/status.h"
#include "server/base/work_meter.h"

namespace millrace {

// A compiled schema. Copies share one compiled form. Any thread.
//
// References name `#` or `#/…` in the same schema, in at most 512 bytes: nothing is ever fetched, and `$id` is ignored.
// The formats are date-time, date, time, email, hostname, ipv4, ipv6, uri and uuid; other formats accept every value.
class Schema {
 public:
  // Compiles a schema. INVALID_FIELD, with the fault and its path, if the text is not a schema.
  static StatusOr<Schema> Parse(std::string_view text);

  // Checks a value. SCHEMA, with the first fault and its path, if the value does not fit, or the check follows more
  // than 200,000 references. Counts its work on the thread's meter, or if there is none within CheckLimits(): then it
  // takes at most about 3 s, and SCHEMA says that a limit was reached.
  Status Check(const boost::json::value& value) const;

  // Returns true if the check of a value of so many bytes of JSON is known to take less than 15 ms.
  bool IsCheap(size_t bytes) const;

 private:
  struct Compiled;
  explicit Schema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

// Returns the limits of all checks of one answer together.
WorkLimits CheckLimits();

}  // namespace millrace

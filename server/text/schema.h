// JSON Schema, draft 7, as answers of models are checked against it. valijson does the checking; what it would do with
// std::regex (`pattern`, `patternProperties`, `format`) is done by RE2, also inside of `anyOf` and `not`, and whatever
// could make it recurse without end is refused beforehand.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// A compiled schema. Copies share; any thread may check.
//
// References go to `#` or `#/…` in the same schema (at most 512 bytes): nothing is ever fetched, and `$id` is not
// looked at. `format` knows date-time, date, time, email, hostname, ipv4, ipv6, uri and uuid; any other says nothing.
class Schema {
 public:
  // INVALID_ARGUMENT (INVALID_FIELD) with what is wrong where.
  static StatusOr<Schema> Parse(std::string_view text);

  // FAILED_PRECONDITION (SCHEMA) with the first thing that does not fit, and where.
  Status Check(const boost::json::value& value) const;

 private:
  struct Compiled;
  explicit Schema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace millrace

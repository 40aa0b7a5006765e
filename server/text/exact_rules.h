// The keywords of a JSON Schema that judge a value by itself: `type`, `enum`, `const`, bounds and `multipleOf` of
// numbers, lengths of texts. Numbers are judged by their decimal digits: 19.99 is a multiple of 0.01,
// and an integer may have any number of digits. valijson, which judges the other keywords, calculates with doubles.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/number.h"
#include "server/base/status.h"

namespace millrace {

// Rules of one schema. Immutable; any thread.
class ExactRules {
 public:
  // Returns true if Parse takes the keyword.
  static bool Takes(std::string_view keyword);

  // Compiles the keywords that it takes; ignores others. The numbers of `schema` are those of ParseExact.
  // INVALID_FIELD, saying which keyword is wrong, if a value is not what the keyword needs.
  static StatusOr<ExactRules> Parse(const json::object& schema);

  // Returns true if FaultOf needs the elements and members of a value, not only its type.
  bool needs_parts() const { return options_.has_value() || constant_.has_value(); }

  // Returns the fault of a value; nullopt if it fits. Takes time in proportion to the value, however many options
  // there are to compare. The value's numbers may be those of ParseExact or of ParseJson.
  std::optional<std::string> FaultOf(const json::value& value) const;

 private:
  struct Bound {
    Decimal number;
    std::string text;  // as in the schema
  };

  Status Take(std::string_view keyword, const json::value& value);
  Status TakeTypes(const json::value& value);
  std::optional<std::string> FaultOfNumber(const json::value& value) const;
  std::optional<std::string> FaultOfText(std::string_view text) const;

  std::vector<std::string> types_;                // empty: any
  std::optional<std::set<std::string>> options_;  // canonical JSON of the values of `enum`
  std::optional<std::string> constant_;           // canonical JSON of `const`
  std::string options_text_;                      // for messages
  std::optional<Bound> least_;
  std::optional<Bound> above_;
  std::optional<Bound> most_;
  std::optional<Bound> below_;
  std::optional<Bound> step_;
  std::optional<uint64_t> length_min_;
  std::optional<uint64_t> length_max_;
};

}  // namespace millrace

#include "server/stages/rules/convert_rule.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "server/base/date.h"
#include "server/base/json.h"
#include "server/stages/rules/fields.h"
#include "server/stages/typed_value.h"

namespace millrace::rules {
namespace {

const std::string& FieldToSet(const v1::ConvertField& convert) {
  return convert.into().empty() ? convert.field() : convert.into();
}

}  // namespace

ConvertRule::ConvertRule(const v1::ConvertField& convert)
    : field_(convert.field()),
      into_(FieldToSet(convert)),
      to_(convert.to()),
      date_format_(convert.date_format()),
      or_null_(convert.or_null()) {}

std::vector<FieldViolation> ConvertRule::Check(const v1::ConvertField& convert) {
  std::vector<FieldViolation> wrong;
  const auto check_path = [&](const std::string& path, const char* field) {
    if (!IsPath(path)) wrong.push_back({field, fmt::format("expected the path of a field, got {}", Excerpt(path))});
  };
  check_path(convert.field(), "field");
  if (!convert.into().empty()) check_path(convert.into(), "into");
  if (convert.to() == v1::VALUE_TYPE_UNSPECIFIED) {
    wrong.push_back({"to", "expected one of text, number, boolean, date"});
  }
  if (convert.date_format().empty()) return wrong;
  if (convert.to() != v1::VALUE_TYPE_DATE) wrong.push_back({"date_format", "is only for `to: date`"});
  if (const std::optional<std::string> fault = FaultOfDateFormat(convert.date_format())) {
    wrong.push_back({"date_format", fmt::format("expected a format such as %d/%m/%Y: {}", *fault)});
  }
  return wrong;
}

Status ConvertRule::Apply(json::value& item, Oddities& oddities, bool& did) const {
  const json::value* value = FindPath(item, field_);
  StatusOr<json::value> made = json::value();
  if (value != nullptr) made = Typed(*value, to_, date_format_);
  if (!made.ok() && !or_null_) return WithContext(made.status(), fmt::format("`{}`", field_));
  if (!made.ok()) {
    oddities.Note(storage::v1::Oddity::KIND_NOT_CONVERTED, field_, *value);
    made = json::value();
  }
  const bool stays = into_ == field_ && (value == nullptr ? made->is_null() : *value == *made);
  if (stays) return {};
  did = true;
  return SetPath(item, into_, *std::move(made));
}

}  // namespace millrace::rules

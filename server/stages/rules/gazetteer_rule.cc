#include "server/stages/rules/gazetteer_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/stages/rules/fields.h"

namespace millrace::rules {
namespace {

constexpr size_t kNoteBytesMax = 256;

void AddName(std::string_view name, std::string& found) {
  if (found.size() >= kNoteBytesMax) return;
  found += found.empty() ? "" : ", ";
  found += Excerpt(name, 64);
  if (found.size() >= kNoteBytesMax) found += ", …";
}

}  // namespace

StatusOr<LookUpRule> LookUpRule::Make(const v1::LookUp& look_up, std::shared_ptr<const Gazetteer> gazetteer) {
  LookUpRule rule;
  for (const v1::LookUpField& set : look_up.set()) {
    const std::optional<size_t> column = gazetteer->Column(set.column());
    if (!column) {
      return MakeError(Reason::kInvalidDefinition,
                       fmt::format("{} has no column {}", look_up.gazetteer(), Excerpt(set.column())));
    }
    Target target{set.field(), *column, set.pick(), std::nullopt};
    if (!set.agree_with().empty()) {
      const auto before = std::find_if(rule.targets_.begin(), rule.targets_.end(),
                                       [&](const Target& other) { return other.field == set.agree_with(); });
      if (before == rule.targets_.end() || before->pick == v1::LookUpField::PICK_EVERY ||
          before->pick == v1::LookUpField::PICK_COUNT) {
        return MakeError(Reason::kInvalidDefinition,
                         fmt::format("agree_with: no entry before this one sets {} to one of the values",
                                     Excerpt(set.agree_with())));
      }
      target.agree_with = static_cast<size_t>(before - rule.targets_.begin());
    }
    rule.targets_.push_back(std::move(target));
  }
  rule.gazetteer_ = std::move(gazetteer);
  rule.in_.assign(look_up.in().begin(), look_up.in().end());
  return rule;
}

json::value LookUpRule::PickFrom(const std::vector<size_t>& rows, const Target& target) const {
  // Different values in the order found, with their weight. A handful: a list is searched faster than a map.
  std::vector<std::pair<std::string_view, double>> values;
  for (const size_t row : rows) {
    const std::string_view value = gazetteer_->Cell(row, target.column);
    if (value.empty()) continue;
    auto at = std::find_if(values.begin(), values.end(), [&](const auto& entry) { return entry.first == value; });
    if (at == values.end()) at = values.insert(at, {value, 0.0});
    at->second += gazetteer_->Weight(row);
  }
  switch (target.pick) {
    case v1::LookUpField::PICK_EVERY: {
      json::array list;
      for (const auto& [value, weight] : values) list.emplace_back(Text(value));
      return list;
    }
    case v1::LookUpField::PICK_COUNT:
      return static_cast<int64_t>(values.size());
    default:
      break;
  }
  if (values.empty()) return nullptr;
  if (target.pick == v1::LookUpField::PICK_FIRST) return Text(values.front().first);
  return Text(std::max_element(values.begin(), values.end(), [](const auto& left, const auto& right) {
                return left.second < right.second;
              })->first);
}

std::vector<size_t> LookUpRule::Agreeing(const std::vector<size_t>& rows, size_t column,
                                         const json::value& value) const {
  std::vector<size_t> agreeing;
  const json::string* text = IfText(value);
  if (text == nullptr) return agreeing;
  for (const size_t row : rows) {
    if (gazetteer_->Cell(row, column) == std::string_view(text->data(), text->size())) agreeing.push_back(row);
  }
  return agreeing;
}

Status LookUpRule::Apply(json::value& item, std::string& found) const {
  std::vector<size_t> rows;
  const auto search = [&](const json::value& value) {
    const json::string* text = IfText(value);
    if (text == nullptr) return;
    const std::string_view view(text->data(), text->size());
    for (const GazetteerMatch& match : gazetteer_->Search(view)) {
      rows.push_back(match.row);
      AddName(view.substr(match.begin, match.end - match.begin), found);
    }
  };
  for (const std::string& field : in_) {
    const json::value* value = FindPath(item, field);
    if (value == nullptr) continue;
    if (const json::array* list = value->if_array()) {
      std::for_each(list->begin(), list->end(), search);
    } else {
      search(*value);
    }
  }
  std::vector<json::value> values;  // of the targets
  for (const Target& target : targets_) {
    values.push_back(
        target.agree_with
            ? PickFrom(Agreeing(rows, targets_[*target.agree_with].column, values[*target.agree_with]), target)
            : PickFrom(rows, target));
    if (!values.back().is_null()) MR_RETURN_IF_ERROR(SetPath(item, target.field, values.back()));
  }
  return {};
}

}  // namespace millrace::rules

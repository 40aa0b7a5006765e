#include "server/stages/group/group_fields.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

constexpr int32_t kDefaultMax = 100;

const std::string& NameOf(const v1::GroupField& field) { return field.as().empty() ? field.field() : field.as(); }

size_t MaxOf(const v1::GroupField& field) { return static_cast<size_t>(field.max() > 0 ? field.max() : kDefaultMax); }

// Counts of different values, in the order of their first occurrence.
class Tally {
 public:
  void Add(const json::value& value) {
    const auto [at, fresh] = places_.try_emplace(CanonicalJson(value), counts_.size());
    if (fresh) counts_.push_back({&value, 0});
    ++counts_[at->second].count;
  }

  // Returns the values, the most frequent first.
  std::vector<const json::value*> Ranked() {
    std::stable_sort(counts_.begin(), counts_.end(), [](const Count& a, const Count& b) { return a.count > b.count; });
    std::vector<const json::value*> values;
    for (const Count& count : counts_) values.push_back(count.value);
    return values;
  }

 private:
  struct Count {
    const json::value* value;
    size_t count;
  };
  std::map<std::string, size_t> places_;
  std::vector<Count> counts_;
};

// Orders numbers before other values and by value, text by its bytes, other values by their canonical JSON.
bool Less(const json::value& a, const json::value& b) {
  if (IsNumber(a) != IsNumber(b)) return IsNumber(a);
  if (IsNumber(a)) return CompareNumbers(a, b) < 0;
  if (a.is_string() && b.is_string()) return a.get_string() < b.get_string();
  return CanonicalJson(a) < CanonicalJson(b);
}

json::array Cut(const std::vector<const json::value*>& values, size_t max) {
  json::array cut;
  for (const json::value* value : values) {
    if (cut.size() == max) break;
    cut.push_back(*value);
  }
  return cut;
}

// Returns the value of a group's field. `values` are those of the members that have the field; at least one.
json::value Pick(const v1::GroupField& field, const std::vector<const json::value*>& values) {
  switch (field.pick()) {
    case v1::GroupField::PICK_FIRST:
      return *values.front();
    case v1::GroupField::PICK_MIN:
      return **std::min_element(values.begin(), values.end(), [](auto* a, auto* b) { return Less(*a, *b); });
    case v1::GroupField::PICK_MAX:
      return **std::max_element(values.begin(), values.end(), [](auto* a, auto* b) { return Less(*a, *b); });
    case v1::GroupField::PICK_LIST:
      return Cut(values, MaxOf(field));
    case v1::GroupField::PICK_EVERY: {
      Tally tally;
      for (const json::value* value : values) {
        if (const json::array* list = value->if_array()) {
          for (const json::value& entry : *list) tally.Add(entry);
        } else {
          tally.Add(*value);
        }
      }
      return Cut(tally.Ranked(), MaxOf(field));
    }
    default: {
      Tally tally;
      for (const json::value* value : values) tally.Add(*value);
      return *tally.Ranked().front();
    }
  }
}

}  // namespace

std::string GroupFields::Take(const boost::json::value& member, Oddities* oddities) const {
  json::array values;
  for (const v1::GroupField& field : fields_) {
    const json::value* value = FindPath(member, field.field());
    values.push_back(value == nullptr ? json::value(nullptr) : *value);
    const bool orders = field.pick() == v1::GroupField::PICK_MIN || field.pick() == v1::GroupField::PICK_MAX;
    const json::string* text = value != nullptr && orders && oddities != nullptr ? IfText(*value) : nullptr;
    if (text != nullptr && LooksLikeNumber({text->data(), text->size()})) {
      oddities->Note(storage::v1::Oddity::KIND_TEXT_ORDERED_AS_TEXT, field.field(), *value);
    }
  }
  return WriteJson(values);
}

void GroupFields::Put(const std::vector<std::string_view>& members, boost::json::object& group) const {
  std::vector<json::value> rows;
  for (const std::string_view member : members) rows.push_back(ParseOwnJson(member));
  for (size_t i = 0; i < fields_.size(); ++i) {
    std::vector<const json::value*> values;
    for (const json::value& row : rows) {
      const json::value& value = row.get_array()[i];
      if (!value.is_null()) values.push_back(&value);
    }
    if (!values.empty()) group[NameOf(fields_[i])] = Pick(fields_[i], values);
  }
}

std::vector<std::string> GroupFields::names() const {
  std::vector<std::string> names;
  for (const v1::GroupField& field : fields_) names.push_back(NameOf(field));
  return names;
}

}  // namespace millrace

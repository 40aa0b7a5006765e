#include "server/stages/store/table_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace::store {
namespace {

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }
std::string_view View(json::string_view text) { return {text.data(), text.size()}; }

const json::value* Member(const json::value& value, std::string_view name) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(View(name));
}

// Returns the rest of `text` after `prefix`; nullopt if it does not begin with `prefix`.
std::optional<std::string_view> After(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  return text.substr(prefix.size());
}

}  // namespace

SqlValue SqlValueOf(const json::value* value) {
  if (value == nullptr || value->is_null()) return std::monostate();
  if (value->is_bool()) return int64_t{value->get_bool() ? 1 : 0};
  if (value->is_int64()) return value->get_int64();
  if (value->is_double()) return value->get_double();
  if (const json::string* text = IfText(*value)) return std::string(text->data(), text->size());
  if (const auto number = NumberText(*value)) {
    // A REAL is a double: a number that it can't hold exactly is written as its text.
    const json::value nearest = ToDouble(*value);
    if (std::isfinite(nearest.get_double()) && ToDecimal(nearest) == ToDecimal(*value)) return nearest.get_double();
    return std::string(*number);
  }
  return WriteJson(*value);  // lists, objects, and integers that SQLite does not have
}

TableRows::TableRows(const v1::SqliteTable& table) : table_(table) {
  for (const auto& [column, source] : table_.columns()) columns_.push_back(column);
  const auto key_place = [&](const std::string& column) {
    return std::find(table_.key().begin(), table_.key().end(), column) - table_.key().begin();
  };
  std::sort(columns_.begin(), columns_.end(), [&](const std::string& a, const std::string& b) {
    return std::pair(key_place(a), a) < std::pair(key_place(b), b);
  });
}

Status TableRows::ForEach(const InputItem& item, const json::value& fields,
                          const std::function<Status(const RowParts&)>& row) const {
  if (table_.each().empty()) return row({.item = item, .fields = fields, .entry = nullptr, .index = 0});
  const json::value* list = FindPath(fields, table_.each());
  if (list == nullptr || list->is_null()) return absl::OkStatus();
  if (!list->is_array()) {
    return MakeError(Reason::kSink,
                     fmt::format("table {}: {} of item {} is not a list", table_.table(), table_.each(), item.id));
  }
  int64_t index = 0;
  for (const json::value& entry : list->get_array()) {
    MR_RETURN_IF_ERROR(row({.item = item, .fields = fields, .entry = &entry, .index = index++}));
  }
  return absl::OkStatus();
}

void TableRows::ForEachField(const RowParts& row,
                             const std::function<void(std::string_view, const json::value*)>& field) const {
  const json::value& source = row.entry != nullptr ? *row.entry : row.fields;
  if (const json::object* object = source.if_object()) {
    for (const auto& member : *object) field(View(member.key()), &member.value());
  } else {
    field("value", &source);
  }
}

SqlValue TableRows::At(const RowParts& row, const std::string& column) const {
  const auto found = table_.columns().find(column);
  const bool named = found != table_.columns().end();
  const std::string_view source = named ? std::string_view(found->second) : std::string_view(column);
  const auto of_item = [&](std::string_view path, const json::value* value) {
    return value == nullptr && path == "id" ? SqlValue(row.item.id) : SqlValueOf(value);
  };
  if (!named && row.entry == nullptr) return of_item(source, Member(row.fields, source));
  if (!named)
    return SqlValueOf(row.entry->is_object() ? Member(*row.entry, source) : source == "value" ? row.entry : nullptr);
  if (row.entry != nullptr) {
    if (source == "value") return SqlValueOf(row.entry);
    if (source == "index") return row.index;
    if (const auto path = After(source, "value.")) return SqlValueOf(FindPath(*row.entry, *path));
  }
  const std::string_view path = After(source, "item.").value_or(source);
  return of_item(path, FindPath(row.fields, path));
}

}  // namespace millrace::store

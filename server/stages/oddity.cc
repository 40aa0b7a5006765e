#include "server/stages/oddity.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/json.h"
#include "server/base/status.h"

namespace millrace {
namespace {

using storage::v1::Oddity;

constexpr size_t kExampleBytesMax = 80;

constexpr char kToNumbers[] =
    "make numbers of it: `types: {{{0}: number}}` of a CSV fetch, or the rule `convert: {{field: {0}, to: number}}`";
constexpr char kToDates[] =
    "write dates as 2024-01-31 or 2024-01-31T10:00:00Z, or convert them by a rule such as "
    "`convert: {{field: {0}, to: date, date_format: \"%d/%m/%Y\"}}`";

bool IsSame(const Oddity& a, const Oddity& b) { return a.kind() == b.kind() && a.field() == b.field(); }

// Returns the name of the field in items of a rule's field, which may be that of one of two items.
std::string_view OwnName(std::string_view field) {
  for (const std::string_view side : {"left.", "right."}) {
    if (field.starts_with(side)) return field.substr(side.size());
  }
  return field;
}

std::string Items(int64_t count) { return count == 1 ? "1 item" : fmt::format("{} items", count); }

}  // namespace

void Oddities::Note(Kind kind, std::string_view field, const boost::json::value& value) {
  NoteText(kind, field, WriteJson(value));
}

void Oddities::NoteText(Kind kind, std::string_view field, std::string_view example) {
  Oddity oddity;
  oddity.set_kind(kind);
  oddity.set_field(std::string(field));
  oddity.set_count(1);
  if (std::any_of(list_.begin(), list_.end(), [&](const Oddity& one) { return IsSame(one, oddity); })) return;
  oddity.set_example(Excerpt(example, kExampleBytesMax));
  list_.push_back(std::move(oddity));
}

void Oddities::NoteAll(const List& list) {
  for (const Oddity& oddity : list) NoteText(oddity.kind(), oddity.field(), oddity.example());
}

void Oddities::NoteAll(const Oddities& other) {
  for (const Oddity& oddity : other.list_) NoteText(oddity.kind(), oddity.field(), oddity.example());
}

void Oddities::CountIn(const Oddities& from, std::vector<Oddity>& into) {
  for (const Oddity& oddity : from.list_) {
    const auto at = std::find_if(into.begin(), into.end(), [&](const Oddity& one) { return IsSame(one, oddity); });
    if (at == into.end()) {
      into.push_back(oddity);
    } else {
      at->set_count(at->count() + oddity.count());
    }
  }
}

void Oddities::Count(const Oddities& oddities, List& list) {
  for (const Oddity& oddity : oddities.list_) {
    const auto at = std::find_if(list.begin(), list.end(), [&](const Oddity& one) { return IsSame(one, oddity); });
    if (at == list.end()) {
      *list.Add() = oddity;
    } else {
      at->set_count(at->count() + oddity.count());
    }
  }
}

std::string WarningOf(std::string_view stage, const Oddity& oddity) {
  const std::string& field = oddity.field();
  const std::string name(OwnName(field));
  const std::string begin = fmt::format("stage `{}`: `{}`", stage, field);
  const std::string in = fmt::format("in {}, for example {}", Items(oddity.count()), oddity.example());
  switch (oddity.kind()) {
    case Oddity::KIND_TEXT_COMPARED_AS_NUMBER:
      return fmt::format("{} is text that looks like a number {}; a comparison of text with a number never holds; {}",
                         begin, in, fmt::format(kToNumbers, name));
    case Oddity::KIND_NUMBER_COMPARED_AS_TEXT:
      return fmt::format(
          "{} is a number {}; it is compared with text in quotes, which it never equals; write the number without "
          "quotes",
          begin, in);
    case Oddity::KIND_TEXT_LEFT_OUT_OF_FIGURE:
      return fmt::format("{} is text that looks like a number {}; a measure leaves text out; {}", begin, in,
                         fmt::format(kToNumbers, name));
    case Oddity::KIND_TEXT_ORDERED_AS_TEXT:
      return fmt::format(
          "{} is text that looks like a number {}; the smallest and largest text is not that number (\"10\" comes "
          "before "
          "\"9\"); {}",
          begin, in, fmt::format(kToNumbers, name));
    case Oddity::KIND_DATE_UNREADABLE:
      return fmt::format("{} can't be read as a date {}; time rules treat such an item as one without a date; {}",
                         begin, in, fmt::format(kToDates, name));
    case Oddity::KIND_NO_DATES:
      return fmt::format(
          "{} has no date in any of {}, so the time rules of the stage have no effect; check the name of "
          "the field",
          begin, Items(oddity.count()));
    case Oddity::KIND_NOT_CONVERTED:
      return fmt::format("{} could not be converted {}; it was set to null, as the rule's `or_null` says", begin, in);
    default:
      return fmt::format("{} is odd {}", begin, in);
  }
}

}  // namespace millrace

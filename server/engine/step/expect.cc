#include "server/engine/step/expect.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "server/base/canonical_json.h"
#include "server/base/date.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/engine/step/feed.h"
#include "server/engine/times.h"

namespace millrace {
namespace {

bool IsNull(const json::value* value) {
  if (value == nullptr || value->is_null()) return true;
  const json::string* text = IfText(*value);
  return text != nullptr && text->empty();
}

uint64_t Half(const Digest& digest) {
  uint64_t half = 0;
  std::memcpy(&half, digest.bytes().data(), sizeof half);
  return half;
}

}  // namespace

Expectations::Expectations(const v1::Expect& expect, int64_t as_of_micros)
    : expect_(expect), as_of_micros_(as_of_micros) {
  for (const std::string& field : expect.unique()) unique_.push_back({field, {}});
  for (const auto& [field, share] : expect.max_null_share()) nulls_.push_back({field, share, 0});
  std::sort(nulls_.begin(), nulls_.end(), [](const Nulls& a, const Nulls& b) { return a.field < b.field; });
}

void Expectations::Add(const std::vector<InputItem>& items) {
  items_ += static_cast<int64_t>(items.size());
  if (unique_.empty() && nulls_.empty() && !expect_.has_newest_within()) return;
  for (const InputItem& item : items) {
    const StatusOr<json::value> value = ParseExact(*item.json);
    if (!value.ok()) continue;
    for (Unique& unique : unique_) {
      const json::value* field = FindPath(*value, unique.field);
      if (!IsNull(field)) unique.values.push_back(Half(Digest::Of(CanonicalJson(*field))));
    }
    for (Nulls& nulls : nulls_) nulls.count += IsNull(FindPath(*value, nulls.field)) ? 1 : 0;
    if (expect_.has_newest_within()) {
      const std::string& name = expect_.newest_within().field();
      const json::value* field = FindPath(*value, name);
      if (SaysNothing(field)) continue;
      const std::optional<Date> date = DateOf(*field);
      if (date && (!newest_micros_ || date->micros > *newest_micros_)) newest_micros_ = date->micros;
      if (date) continue;
      Oddities unreadable;
      unreadable.Note(storage::v1::Oddity::KIND_DATE_UNREADABLE, name, *field);
      oddities_.Count(unreadable);
    }
  }
}

std::vector<std::string> Expectations::Judge() {
  std::vector<std::string> broken;
  if (items_ < expect_.min_items()) {
    broken.push_back(fmt::format("min_items: {} items, at least {} expected", items_, expect_.min_items()));
  }
  for (Unique& unique : unique_) {
    std::sort(unique.values.begin(), unique.values.end());
    const auto last = std::unique(unique.values.begin(), unique.values.end());
    const auto repeated = unique.values.end() - last;
    if (repeated > 0) {
      broken.push_back(fmt::format("unique: {} items repeat a value of `{}`", repeated, unique.field));
    }
  }
  for (const Nulls& nulls : nulls_) {
    if (items_ == 0 || static_cast<double>(nulls.count) <= nulls.max_share * static_cast<double>(items_)) continue;
    broken.push_back(
        fmt::format("max_null_share: `{}` is absent, null or empty in {} of {} items, at most {:.4g}% expected",
                    nulls.field, nulls.count, items_, nulls.max_share * 100));
  }
  if (expect_.has_newest_within()) {
    const v1::Newest& newest = expect_.newest_within();
    if (!newest_micros_) {
      broken.push_back(fmt::format("newest_within: no item has a date in `{}`{}", newest.field(),
                                   oddities_.empty() ? "" : " that can be read"));
    } else if (*newest_micros_ < as_of_micros_ - newest.age().seconds() * 1'000'000) {
      broken.push_back(fmt::format("newest_within: the newest date in `{}` is {} s old, at most {} s expected",
                                   newest.field(), (as_of_micros_ - *newest_micros_) / 1'000'000,
                                   newest.age().seconds()));
    }
  }
  return broken;
}

Task<bool> PassesExpectations(StepHost& host, int stage) {
  const StageSlot& slot = host.slot(stage);
  if (!slot.definition->has_expect() || slot.rows->record().expect_checked()) co_return true;
  const v1::Expect& expect = slot.definition->expect();
  const int64_t as_of_micros = ToMicros(host.record().run().as_of());
  const bool own = host.plan().stage(stage).shape == StageShape::kFetch;
  std::unique_ptr<WholeReader> reader =
      own ? WholeReader::OfStage(host, stage) : std::make_unique<WholeReader>(host, stage, WholeReader::Which::kAll);
  auto expectations = std::make_shared<Expectations>(expect, as_of_micros);
  while (true) {
    auto items = co_await reader->Next();
    if (!items.ok()) {
      if (!host.stopped()) host.FailStage(stage, items.status());
      co_return false;
    }
    if (items->empty()) break;
    auto add = [expectations, items = *std::move(items)] {
      expectations->Add(items);
      return true;
    };
    co_await Compute(host.deps().loop, host.deps().pool, std::move(add));
  }
  auto judge = [expectations] { return expectations->Judge(); };
  const std::vector<std::string> broken = co_await Compute(host.deps().loop, host.deps().pool, std::move(judge));
  if (host.stopped()) co_return false;
  for (const storage::v1::Oddity& oddity : expectations->oddities().list()) {
    std::string warning = WarningOf(slot.rows->stage(), oddity);
    const Status warned = co_await host.Warn(std::move(warning));
    if (!warned.ok()) {
      host.FailStage(stage, warned);
      co_return false;
    }
  }
  std::string message;
  for (const std::string& sentence : broken) message += (message.empty() ? "" : "; ") + sentence;
  if (!broken.empty() && expect.action() == v1::Expect::ACTION_PAUSE) {
    host.PauseForCheck(stage, std::move(message));
    co_return false;
  }
  if (!broken.empty() && expect.action() != v1::Expect::ACTION_WARN) {
    host.FailStage(stage, MakeError(Reason::kExpectation, message));
    co_return false;
  }
  if (!broken.empty()) {
    const Status warned = co_await host.Warn(fmt::format("stage `{}`: {}", slot.rows->stage(), message));
    if (!warned.ok()) {
      host.FailStage(stage, warned);
      co_return false;
    }
  }
  RecordChange change = [](storage::v1::StageRecord& record) { record.set_expect_checked(true); };
  const Status status = co_await slot.rows->Update(std::move(change));
  if (!status.ok()) host.FailStage(stage, status);
  host.Moved();
  co_return status.ok();
}

}  // namespace millrace

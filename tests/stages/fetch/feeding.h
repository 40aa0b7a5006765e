// Feeds a reader as the engine does: in pieces, with what it did not consume given again.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/stages/fetch_stage.h"

namespace millrace::fetch {

using MakeReader = std::function<std::unique_ptr<RowReader>()>;

// Returns a row as a line that tests compare: `id {json}`, or `! REASON message`.
inline std::string Shown(const FetchedRow& row) {
  if (row.item.state == v1::ITEM_STATE_OK) return row.id + " " + row.item.json;
  return "! " + v1::ErrorReason_Name(row.item.reason).substr(13) + " " + row.item.message;
}

struct Feeding {
  size_t piece = 1 << 16;  // bytes added at a time
  size_t pause_at = 0;     // not 0: after so many rows, a new reader continues from the state of the old one
};

inline std::vector<std::string> ReadAll(const MakeReader& make, std::string_view bytes, Feeding how = {}) {
  std::unique_ptr<RowReader> reader = make();
  std::vector<std::string> rows;
  size_t consumed = 0;
  size_t given = 0;
  size_t since = 0;
  while (true) {
    given = std::min(bytes.size(), std::max(given, consumed) + how.piece);
    const bool end = given == bytes.size();
    const StatusOr<RowReader::Rows> fed = reader->Feed(bytes.substr(consumed, given - consumed), end);
    if (!fed.ok()) {
      rows.push_back(fmt::format("error {}", MessageOf(fed.status())));
      return rows;
    }
    consumed += fed->consumed;
    since += fed->rows.size();
    for (const FetchedRow& row : fed->rows) rows.push_back(Shown(row));
    if (end) return rows;
    if (how.pause_at > 0 && since >= how.pause_at) {
      const std::string state = reader->State();
      reader = make();
      if (const Status restored = reader->Restore(state); !restored.ok()) {
        rows.push_back(fmt::format("error {}", MessageOf(restored)));
        return rows;
      }
      given = consumed;
      since = 0;
    }
  }
}

// Reads it in pieces of every size, cut at every byte, and resumed at every row: the rows must always be the same.
inline std::vector<std::string> ReadEveryWay(const MakeReader& make, std::string_view bytes) {
  const std::vector<std::string> whole = ReadAll(make, bytes, {.piece = bytes.size() + 1});
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    for (const size_t pause_at : {size_t{0}, size_t{1}}) {
      if (ReadAll(make, bytes, {.piece = piece, .pause_at = pause_at}) != whole) {
        return {fmt::format("other rows in pieces of {} bytes, pause {}", piece, pause_at)};
      }
    }
  }
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    std::unique_ptr<RowReader> reader = make();
    std::vector<std::string> rows;
    size_t consumed = 0;
    for (const size_t given : {cut, bytes.size()}) {
      const StatusOr<RowReader::Rows> fed =
          reader->Feed(bytes.substr(consumed, given - consumed), given == bytes.size());
      if (!fed.ok()) {
        rows.push_back(fmt::format("error {}", MessageOf(fed.status())));
        break;
      }
      consumed += fed->consumed;
      for (const FetchedRow& row : fed->rows) rows.push_back(Shown(row));
      if (given == bytes.size()) break;
    }
    if (rows != whole) return {fmt::format("other rows when cut at byte {}", cut)};
  }
  return whole;
}

}  // namespace millrace::fetch

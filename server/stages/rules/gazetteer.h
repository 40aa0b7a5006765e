// A gazetteer: a table of names with what is known of each, and the search for them in a text. Names are whole words;
// the longest name that begins at a word wins, and the search goes on behind it. A tree of words is walked, so a search
// costs the same however many names there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/stages/rules/table.h"

namespace millrace {

// A name that was found.
struct GazetteerMatch {
  size_t row = 0;    // several rows may have the name: one match each, in the table's order
  size_t begin = 0;  // bytes of the text
  size_t end = 0;
};

// Immutable; any thread.
class Gazetteer {
 public:
  // Columns: `name` (several joined by `|`), `case` (`exact`: as written; `any`, the default: without case and
  // accents), `weight` (a number, 1 where absent or empty), and any others. INVALID_ARGUMENT (INVALID_DEFINITION) where
  // a column is missing or a row is wrong.
  static StatusOr<Gazetteer> Make(Table table);

  Gazetteer(Gazetteer&&) noexcept;
  Gazetteer& operator=(Gazetteer&&) noexcept;
  ~Gazetteer();

  // The names in `text` (UTF-8), from left to right.
  std::vector<GazetteerMatch> Search(std::string_view text) const;

  // The column's number; nullopt where there is none.
  std::optional<size_t> Column(std::string_view name) const;
  std::string_view Cell(size_t row, size_t column) const;
  double Weight(size_t row) const;
  size_t size() const;

 private:
  struct Tree;

  Gazetteer();

  Table table_;
  std::vector<double> weights_;
  std::unique_ptr<Tree> tree_;
};

}  // namespace millrace

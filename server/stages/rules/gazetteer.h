// A gazetteer: a table of names with facts about each, and a search for them in a text. Names are whole words. The
// longest name that begins at a word wins, and the search continues behind it. The search walks a tree of words, so its
// cost does not depend on the number of names.
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

namespace millrace::rules {

// A name that was found.
struct GazetteerMatch {
  size_t row = 0;    // several rows may have the name: one match each, in the table's order
  size_t begin = 0;  // bytes of the text
  size_t end = 0;
};

// Immutable; any thread.
class Gazetteer {
 public:
  // Makes a gazetteer of a table with the columns `name` (several joined by `|`), `case` (`exact`: as written; `any`,
  // the default: without case and accents), `weight` (a number; 1 if absent or empty), and any others. INVALID_ARGUMENT
  // (INVALID_DEFINITION) if a column is missing or a row is wrong.
  static StatusOr<Gazetteer> Make(Table table);

  Gazetteer(Gazetteer&&) noexcept;
  Gazetteer& operator=(Gazetteer&&) noexcept;
  ~Gazetteer();

  // Returns the names in `text` (UTF-8), from left to right.
  std::vector<GazetteerMatch> Search(std::string_view text) const;

  // Returns the number of a column; nullopt if the table does not have it.
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

}  // namespace millrace::rules

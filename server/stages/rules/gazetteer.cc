#include "server/stages/rules/gazetteer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_map>
#include <utility>

#include "server/stages/rules/words.h"

namespace millrace::rules {
namespace {

constexpr uint32_t kNone = 0;

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct EdgeHash {
  size_t operator()(uint64_t edge) const { return static_cast<size_t>(edge * 0x9e3779b97f4a7c15u >> 17); }
};

Status RowError(size_t row, std::string_view what) {
  return MakeError(Reason::kInvalidDefinition, fmt::format("gazetteer, row {} after the header: {}", row + 1, what));
}

}  // namespace

// Nodes are numbers; node 0 is the root. An edge is a node and a word with what stands before it (nothing, for the
// first word of a name), both as numbers.
struct Gazetteer::Tree {
  // A row whose name ends at a node.
  struct End {
    uint32_t row = 0;
    std::string exact;  // text to match exactly; empty: any case
  };

  std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> words;  // numbers from 1
  std::unordered_map<uint64_t, uint32_t, EdgeHash> edges;
  std::vector<std::vector<End>> ends{1};

  uint32_t NumberOf(std::string_view word) const {
    const auto found = words.find(word);
    return found == words.end() ? kNone : found->second;
  }

  uint32_t Follow(uint32_t node, std::string_view word) const {
    const uint32_t number = NumberOf(word);
    if (number == kNone) return kNone;
    const auto found = edges.find(uint64_t{node} << 32 | number);
    return found == edges.end() ? kNone : found->second;
  }

  // Returns false if the name has no word.
  bool Add(std::string_view name, uint32_t row, bool exact) {
    WordScan scan;
    ScanWords(name, scan);
    if (scan.words.empty()) return false;
    uint32_t node = 0;
    for (size_t i = 0; i < scan.words.size(); ++i) {
      const std::string_view word = i == 0 ? scan.Key(scan.words[i]) : scan.KeyWithGap(scan.words[i]);
      const uint32_t number =
          words.try_emplace(std::string(word), static_cast<uint32_t>(words.size() + 1)).first->second;
      const auto [edge, added] = edges.try_emplace(uint64_t{node} << 32 | number, static_cast<uint32_t>(ends.size()));
      if (added) ends.emplace_back();
      node = edge->second;
    }
    ends[node].push_back({row, exact ? ExactName(name, scan, 0, scan.words.size() - 1) : std::string()});
    return true;
  }

  // Appends a match for each row that ends at `node` and whose case fits; returns false if there is none.
  bool Take(uint32_t node, std::string_view text, const WordScan& scan, size_t first, size_t last,
            std::vector<GazetteerMatch>& matches) const {
    bool taken = false;
    std::string written;
    for (const End& end : ends[node]) {
      if (!end.exact.empty()) {
        if (written.empty()) written = ExactName(text, scan, first, last);
        if (written != end.exact) continue;
      }
      matches.push_back({end.row, scan.words[first].begin, scan.words[last].end});
      taken = true;
    }
    return taken;
  }
};

Gazetteer::Gazetteer() = default;
Gazetteer::Gazetteer(Gazetteer&&) noexcept = default;
Gazetteer& Gazetteer::operator=(Gazetteer&&) noexcept = default;
Gazetteer::~Gazetteer() = default;

StatusOr<Gazetteer> Gazetteer::Make(Table table) {
  Gazetteer gazetteer;
  gazetteer.table_ = std::move(table);
  gazetteer.tree_ = std::make_unique<Tree>();
  const std::optional<size_t> name = gazetteer.Column("name");
  const std::optional<size_t> letter_case = gazetteer.Column("case");
  const std::optional<size_t> weight = gazetteer.Column("weight");
  if (!name) return MakeError(Reason::kInvalidDefinition, "gazetteer: no column `name`");
  for (size_t row = 0; row < gazetteer.table_.rows.size(); ++row) {
    const std::string_view how = letter_case ? gazetteer.Cell(row, *letter_case) : "";
    if (!how.empty() && how != "exact" && how != "any") {
      return RowError(row, fmt::format("case: expected exact or any, got {}", Excerpt(how)));
    }
    double number = 1;
    if (const std::string_view text = weight ? gazetteer.Cell(row, *weight) : ""; !text.empty()) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size() || !(number > 0 && number <= 1e9)) {
        return RowError(row, fmt::format("weight: expected a number above 0, got {}", Excerpt(text)));
      }
    }
    gazetteer.weights_.push_back(number);
    std::string_view names = gazetteer.Cell(row, *name);
    while (true) {
      const size_t bar = names.find('|');
      if (!gazetteer.tree_->Add(names.substr(0, bar), static_cast<uint32_t>(row), how == "exact")) {
        return RowError(row, "name: expected names with at least one letter or digit each, joined by |");
      }
      if (bar == std::string_view::npos) break;
      names.remove_prefix(bar + 1);
    }
  }
  return gazetteer;
}

std::vector<GazetteerMatch> Gazetteer::Search(std::string_view text) const {
  thread_local WordScan scan;
  ScanWords(text, scan);
  const auto& words = scan.words;
  std::vector<GazetteerMatch> matches;
  std::vector<std::pair<uint32_t, size_t>> passed;  // nodes that end a name, and their last word; the longest is last
  for (size_t i = 0; i < words.size();) {
    passed.clear();
    uint32_t node = tree_->Follow(0, scan.Key(words[i]));
    for (size_t last = i; node != kNone;) {
      if (!tree_->ends[node].empty()) passed.emplace_back(node, last);
      if (++last == words.size()) break;
      node = tree_->Follow(node, scan.KeyWithGap(words[last]));
    }
    size_t next = i + 1;
    for (; !passed.empty(); passed.pop_back()) {
      const auto [end, last] = passed.back();
      if (tree_->Take(end, text, scan, i, last, matches)) {
        next = last + 1;
        break;
      }
    }
    i = next;
  }
  return matches;
}

std::optional<size_t> Gazetteer::Column(std::string_view name) const {
  const auto found = std::find(table_.columns.begin(), table_.columns.end(), name);
  if (found == table_.columns.end()) return std::nullopt;
  return static_cast<size_t>(found - table_.columns.begin());
}

std::string_view Gazetteer::Cell(size_t row, size_t column) const { return table_.rows[row][column]; }

double Gazetteer::Weight(size_t row) const { return weights_[row]; }

size_t Gazetteer::size() const { return table_.rows.size(); }

}  // namespace millrace::rules

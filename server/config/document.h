// Reader of a YAML document into a plain tree in which every node knows its place. It refuses the surprises of YAML:
// duplicate keys, aliases and anchors (so no bombs and no cycles), tags, several documents, byte order marks, UTF-16,
// and keys that are not text. It builds the tree from the parser's events, so a refused document never takes more
// memory than the limits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/config/place.h"

namespace millrace {

struct YamlMember;

// A node of the tree.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Place place;
  std::string text{};                 // of a scalar
  bool quoted = false;                // the scalar has quotes or is a block: it is always text
  std::vector<YamlNode> elements{};   // of a list
  std::vector<YamlMember> members{};  // of a map, in order; names are different
};

// A key and its value.
struct YamlMember {
  std::string name;
  Place place;  // of the key
  YamlNode value;
};

struct YamlLimits {
  size_t bytes = 1u << 20;
  size_t nodes = 10'000;
  int depth = 64;
};

// Reads one document; an empty one is a null. INVALID_ARGUMENT (INVALID_DEFINITION) with every problem.
StatusOr<YamlNode> ReadYaml(std::string_view text, std::string_view filename, const YamlLimits& limits = {});

}  // namespace millrace

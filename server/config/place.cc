#include "server/config/place.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace {

std::string_view ParentPath(std::string_view path) {
  size_t end = 0;
  if (path.ends_with("\"]")) {
    end = path.rfind("[\"");
  } else if (path.ends_with("]")) {
    end = path.rfind('[');
  } else {
    end = path.rfind('.');
  }
  return end == std::string_view::npos ? std::string_view() : path.substr(0, end);
}

bool IsBelow(std::string_view path, std::string_view ancestor) {
  return path.starts_with(ancestor) &&
         (path.size() == ancestor.size() || path[ancestor.size()] == '.' || path[ancestor.size()] == '[');
}

Place PlaceOf(const Places& places, std::string_view path) {
  while (true) {
    if (const auto found = places.find(path); found != places.end()) return found->second;
    if (path.empty()) return {};
    path = ParentPath(path);
  }
}

Status DefinitionError(std::string_view filename, std::vector<Problem> problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) { return a.place < b.place; });
  std::vector<FieldViolation> violations;
  for (const Problem& problem : problems) {
    std::string field(filename);
    if (problem.place.line > 0) field += fmt::format(":{}:{}", problem.place.line, problem.place.column);
    if (!problem.path.empty()) field += ": " + problem.path;
    violations.push_back({std::move(field), problem.what});
  }
  return DefinitionError(violations);
}

Status DefinitionError(const std::vector<FieldViolation>& violations) {
  const FieldViolation& first = violations.front();
  std::string message = first.field.empty() ? first.description : fmt::format("{}: {}", first.field, first.description);
  if (violations.size() > 1) message = Excerpt(message, 900) + fmt::format(" (and {} more)", violations.size() - 1);
  return MakeFieldError(Reason::kInvalidDefinition, message, violations);
}

}  // namespace millrace

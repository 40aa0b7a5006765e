// A sink that keeps the spans of a test, and shows them as trees.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/trace/recorder.h"

namespace millrace::trace {

inline std::string NameOf(const SpanRecord& span) {
  return span.label.empty() ? span.name : std::string(span.name) + " " + span.label;
}

// Returns the newest value of an attribute, as text; empty if there is none.
inline std::string ValueOf(const SpanRecord& span, std::string_view key) {
  std::string text;
  for (const Attribute& attribute : span.attributes) {
    if (attribute.key != key) continue;
    if (const auto* flag = std::get_if<bool>(&attribute.value)) text = *flag ? "true" : "false";
    if (const auto* number = std::get_if<int64_t>(&attribute.value)) text = std::to_string(*number);
    if (const auto* literal = std::get_if<const char*>(&attribute.value)) text = *literal;
    if (const auto* held = std::get_if<std::string>(&attribute.value)) text = *held;
    if (const auto* list = std::get_if<std::vector<std::string>>(&attribute.value)) {
      for (const std::string& each : *list) text += (text.empty() ? "" : ",") + each;
    }
  }
  return text;
}

class KeptSpans final : public SpanSink {
 public:
  struct Kept {
    TraceId trace;
    std::unique_ptr<SpanRecord> span;
  };

  void Take(EndedSpans spans) override {
    ++takes;
    last = TraceContext{.trace = spans.trace, .sampled = spans.sampled, .state = spans.state};
    wall_offset = spans.wall_offset_nanos;
    for (auto& span : spans.spans) kept.push_back({spans.trace, std::move(span)});
  }
  void CountDropped(int64_t spans) override { dropped += spans; }
  Figures figures() const override { return {.dropped = dropped}; }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Kept& each : kept) names.push_back(NameOf(*each.span));
    return names;
  }
  std::vector<const SpanRecord*> Named(std::string_view name) const {
    std::vector<const SpanRecord*> found;
    for (const Kept& each : kept) {
      if (NameOf(*each.span) == name) found.push_back(each.span.get());
    }
    return found;
  }
  // Returns the spans below `parent`, one a line in the order of their starts, with two blanks a level; `!` marks
  // errors.
  std::string Tree(SpanId parent = 0, const std::string& indent = "") const {
    std::vector<const SpanRecord*> children;
    for (const Kept& each : kept) {
      if (each.span->parent == parent) children.push_back(each.span.get());
    }
    std::stable_sort(children.begin(), children.end(), [](const SpanRecord* a, const SpanRecord* b) {
      return std::pair(a->start, a->end) < std::pair(b->start, b->end);
    });
    std::string text;
    for (const SpanRecord* child : children) {
      text += indent + NameOf(*child) + (child->is_error ? "!" : "") + "\n" + Tree(child->id, indent + "  ");
    }
    return text;
  }

  int takes = 0;
  TraceContext last;
  int64_t wall_offset = 0;
  int64_t dropped = 0;
  std::vector<Kept> kept;
};

}  // namespace millrace::trace

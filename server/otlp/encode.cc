#include "server/otlp/encode.h"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "server/base/utf8.h"
#include "server/trace/names.h"

namespace millrace::otlp {
namespace {

namespace pb = opentelemetry::proto;

constexpr uint32_t kSampled = 0x1;
constexpr uint32_t kRemotenessIsKnown = 0x100;
constexpr uint32_t kParentIsRemote = 0x200;

// Protobuf refuses text that is not UTF-8, and the receiver with it the whole request.
std::string Clean(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const size_t good = Utf8End(text);
    clean += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    clean += "\xef\xbf\xbd";
    text.remove_prefix(1);
  }
  return clean;
}

void EncodeValue(const trace::AttributeValue& value, pb::common::v1::AnyValue& to) {
  std::visit(
      [&to](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, bool>) {
          to.set_bool_value(held);
        } else if constexpr (std::is_same_v<T, int64_t>) {
          to.set_int_value(held);
        } else if constexpr (std::is_same_v<T, double>) {
          to.set_double_value(held);
        } else if constexpr (std::is_same_v<T, const char*>) {
          to.set_string_value(held);
        } else if constexpr (std::is_same_v<T, std::string>) {
          to.set_string_value(Clean(held));
        } else {
          for (const std::string& text : held) to.mutable_array_value()->add_values()->set_string_value(Clean(text));
        }
      },
      value);
}

// Keys are unique per span: the newest value counts.
template <typename KeyValues>
void EncodeAttributes(const trace::Attributes& attributes, KeyValues& to) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    const std::string_view key = attributes[i].key;
    const auto later = std::find_if(attributes.begin() + static_cast<std::ptrdiff_t>(i) + 1, attributes.end(),
                                    [key](const trace::Attribute& other) { return key == other.key; });
    if (later != attributes.end()) continue;
    pb::common::v1::KeyValue& pair = *to.Add();
    pair.set_key(attributes[i].key);
    EncodeValue(attributes[i].value, *pair.mutable_value());
  }
}

}  // namespace

void Encode(const trace::EndedSpans& trace, const trace::SpanRecord& record, pb::trace::v1::Span& span) {
  const auto unix_nanos = [&trace](TimePoint time) {
    return static_cast<uint64_t>(std::max<int64_t>(time.time_since_epoch().count() + trace.wall_offset_nanos, 0));
  };
  span.set_trace_id(trace::Bytes(trace.trace));
  span.set_span_id(trace::Bytes(record.id));
  span.set_trace_state(trace.state);
  if (record.parent != 0) span.set_parent_span_id(trace::Bytes(record.parent));
  std::string& name = *span.mutable_name();
  name = record.name;
  if (!record.label.empty()) name.append(" ").append(Clean(record.label));
  span.set_kind(static_cast<pb::trace::v1::Span::SpanKind>(record.kind));
  span.set_start_time_unix_nano(unix_nanos(record.start));
  span.set_end_time_unix_nano(unix_nanos(std::max(record.start, record.end)));
  EncodeAttributes(record.attributes, *span.mutable_attributes());
  for (const trace::SpanEvent& event : record.events) {
    pb::trace::v1::Span::Event& to = *span.add_events();
    to.set_time_unix_nano(unix_nanos(event.time));
    to.set_name(event.name);
    EncodeAttributes(event.attributes, *to.mutable_attributes());
  }
  for (const trace::SpanLink& link : record.links) {
    pb::trace::v1::Span::Link& to = *span.add_links();
    to.set_trace_id(trace::Bytes(link.trace));
    to.set_span_id(trace::Bytes(link.span));
    to.set_flags(link.sampled ? kSampled : 0);
  }
  if (record.is_error) {
    span.mutable_status()->set_code(pb::trace::v1::Status::STATUS_CODE_ERROR);
    span.mutable_status()->set_message(Clean(record.error));
  }
  span.set_flags((trace.sampled ? kSampled : 0) | kRemotenessIsKnown | (record.is_parent_remote ? kParentIsRemote : 0));
}

void EncodeOrigin(const Pairs& resource, const std::string& version, pb::trace::v1::ResourceSpans& spans) {
  for (const auto& [key, value] : resource) {
    pb::common::v1::KeyValue& pair = *spans.mutable_resource()->add_attributes();
    pair.set_key(key);
    pair.mutable_value()->set_string_value(value);
  }
  pb::trace::v1::ScopeSpans& scope = *spans.add_scope_spans();
  scope.mutable_scope()->set_name("millrace");
  scope.mutable_scope()->set_version(version);
  scope.set_schema_url(trace::kSchemaUrl);
}

}  // namespace millrace::otlp

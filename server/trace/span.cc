#include "server/trace/span.h"

#include "server/base/utf8.h"
#include "server/trace/names.h"

namespace millrace::trace {
namespace {

constexpr size_t kEventsMax = 32;
constexpr size_t kLinksMax = 32;

size_t BytesOf(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size();
  size_t bytes = 0;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& text : *list) bytes += sizeof text + text.size();
  }
  return bytes;
}

size_t BytesOf(const Attributes& attributes) {
  size_t bytes = attributes.size() * sizeof(Attribute);
  for (const Attribute& attribute : attributes) bytes += BytesOf(attribute.value);
  return bytes;
}

}  // namespace

size_t BytesOf(const SpanRecord& record) {
  size_t bytes = sizeof record + record.label.size() + record.error.size() + BytesOf(record.attributes) +
                 record.links.size() * sizeof(SpanLink);
  for (const SpanEvent& event : record.events) bytes += sizeof event + BytesOf(event.attributes);
  return bytes;
}

void SpanRecord::Clear() {
  id = 0;
  parent = 0;
  is_parent_remote = false;
  kind = SpanKind::kInternal;
  name = "";
  label.clear();
  start = {};
  end = {};
  is_error = false;
  error.clear();
  attributes.clear();
  events.clear();
  links.clear();
}

void Span::Begin(const Ref& parent, const char* name, SpanKind kind, std::string_view label) {
  trace_ = parent.trace;
  record_ = trace_->NewRecord();
  record_->parent = parent.span;
  record_->kind = kind;
  record_->name = name;
  record_->label = Utf8Prefix(label, trace_->text_bytes_max());
  record_->start = trace_->Now();
}

void Span::PutText(const char* key, std::string_view value) {
  record_->attributes.emplace_back(key, std::string(Utf8Prefix(value, trace_->text_bytes_max())));
}

void Span::PutError(std::string_view type, std::string_view message) {
  PutText(kErrorType, type);
  record_->is_error = true;
  record_->error = Utf8Prefix(message, trace_->text_bytes_max());
}

void Span::PutEvent(const char* name, Attributes attributes) {
  if (record_->events.size() < kEventsMax) record_->events.push_back({name, trace_->Now(), std::move(attributes)});
}

void Span::PutLink(const Ref& to) {
  if (record_->links.size() >= kLinksMax) return;
  const TraceContext context = to.trace->ContextOf(to.span);
  record_->links.push_back({context.trace, context.span, context.sampled});
}

void Span::Finish() {
  record_->end = trace_->Now();
  // The trace may be destroyed with its last span.
  const std::shared_ptr<Trace> trace = std::move(trace_);
  trace->Take(std::move(record_));
}

}  // namespace millrace::trace

// Spans as messages of OTLP.
#pragma once

#include <string>

#include "opentelemetry/proto/trace/v1/trace.pb.h"
#include "server/otlp/settings.h"
#include "server/trace/span_record.h"

namespace millrace::otlp {

// Writes one span of a trace. Bytes that are not UTF-8 become U+FFFD. Any thread.
void Encode(const trace::EndedSpans& trace, const trace::SpanRecord& record,
            opentelemetry::proto::trace::v1::Span& span);

// Writes the origin of all spans: the resource, and this program as the scope.
void EncodeOrigin(const Pairs& resource, const std::string& version,
                  opentelemetry::proto::trace::v1::ResourceSpans& spans);

}  // namespace millrace::otlp

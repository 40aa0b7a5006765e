#include "server/trace/recorder.h"

#include <chrono>
#include <deque>
#include <utility>

#include "server/base/utf8.h"
#include "server/trace/names.h"

namespace millrace::trace {

struct Recorder::Shared {
  const Clock& clock;
  Random random;
  SpanSink& sink;
  const RecorderOptions options;
  size_t buffered = 0;  // spans in all buffers

  SpanId NextSpanId() {
    SpanId id = random.Next();
    while (id == 0) id = random.Next();
    return id;
  }
  int64_t WallOffsetNanos() const { return clock.WallMicros() * 1000 - clock.Now().time_since_epoch().count(); }
};

// A trace from its beginning here until its last span has ended.
class Recorder::Recording final : public Trace {
 public:
  Recording(std::shared_ptr<Shared> shared, TraceContext context, bool is_long, Duration slow_after)
      : shared_(std::move(shared)), context_(std::move(context)), is_long_(is_long), slow_after_(slow_after) {}
  ~Recording() override { shared_->buffered -= first_.size() + newest_.size(); }

  SpanId NextSpanId() override { return shared_->NextSpanId(); }
  TimePoint Now() const override { return shared_->clock.Now(); }
  void Keep() override { is_kept_ = true; }
  TraceContext ContextOf(SpanId span) const override {
    TraceContext context = context_;
    context.span = span;
    return context;
  }
  size_t text_bytes_max() const override { return shared_->options.text_bytes_max; }
  bool records_content() const override { return shared_->options.records_content; }

  void Take(std::unique_ptr<SpanRecord> ended) override {
    const bool is_root = ended->id == context_.span;
    if (is_long_ || has_ended_) {
      // A span that ends after its root follows the decision.
      if (is_long_ || is_kept_) Export(std::move(ended));
      return;
    }
    if (!is_root) return Buffer(std::move(ended));
    has_ended_ = true;
    is_kept_ |=
        context_.sampled || ended->is_error || (slow_after_ > Duration(0) && ended->end - ended->start >= slow_after_);
    if (is_kept_) ExportAll(std::move(ended));
    Clear();
  }

 private:
  using Records = std::deque<std::unique_ptr<SpanRecord>>;

  void Buffer(std::unique_ptr<SpanRecord> ended) {
    const size_t half = shared_->options.trace_spans_max / 2;
    if (first_.size() + newest_.size() < shared_->options.trace_spans_max) {
      if (shared_->buffered >= shared_->options.buffered_spans_max) {
        ++dropped_;
        return;
      }
      ++shared_->buffered;
      (first_.size() < half ? first_ : newest_).push_back(std::move(ended));
      return;
    }
    // The end of a long story says more than its middle.
    ++dropped_;
    newest_.pop_front();
    newest_.push_back(std::move(ended));
  }

  void Export(std::unique_ptr<SpanRecord> record) {
    EndedSpans spans = Ended();
    spans.spans.push_back(std::move(record));
    shared_->sink.Take(std::move(spans));
  }

  void ExportAll(std::unique_ptr<SpanRecord> root) {
    if (dropped_ > 0) {
      root->attributes.push_back({kSpansDropped, dropped_});
      shared_->sink.CountDropped(dropped_);
    }
    EndedSpans spans = Ended();
    spans.spans.reserve(1 + first_.size() + newest_.size());
    spans.spans.push_back(std::move(root));
    for (Records* records : {&first_, &newest_}) {
      for (std::unique_ptr<SpanRecord>& record : *records) spans.spans.push_back(std::move(record));
    }
    shared_->sink.Take(std::move(spans));
  }

  void Clear() {
    shared_->buffered -= first_.size() + newest_.size();
    first_.clear();
    newest_.clear();
  }

  EndedSpans Ended() const {
    EndedSpans spans;
    spans.trace = context_.trace;
    spans.sampled = context_.sampled;
    spans.state = context_.state;
    spans.wall_offset_nanos = shared_->WallOffsetNanos();
    return spans;
  }

  const std::shared_ptr<Shared> shared_;
  const TraceContext context_;  // its span is the root of this process
  const bool is_long_;
  const Duration slow_after_;
  bool is_kept_ = false;
  bool has_ended_ = false;  // the root has
  int64_t dropped_ = 0;
  Records first_;
  Records newest_;
};

Recorder::Recorder(const Clock& clock, Random random, SpanSink& sink, RecorderOptions options)
    : shared_(new Shared{clock, std::move(random), sink, options}) {}

Recorder::~Recorder() = default;

bool Recorder::propagates() const { return shared_->options.propagates; }
Duration Recorder::slow_after() const { return shared_->options.slow_after; }
Figures Recorder::figures() const { return shared_->sink.figures(); }

Span Recorder::Begin(Beginning beginning) {
  const RecorderOptions& options = shared_->options;
  const TraceContext* parent = beginning.parent ? &*beginning.parent : nullptr;
  TraceContext context;
  if (parent != nullptr) {
    context = *parent;
  } else if (beginning.id) {
    context.trace = *beginning.id;
  } else {
    context.random = true;
    context.trace = {shared_->random.Next(), shared_->NextSpanId()};
  }
  const bool may_be_kept = options.sampler.MayKeepLater(parent);
  context.sampled = options.sampler.Keeps(context.trace, parent) || (beginning.is_long && may_be_kept);
  if (!context.sampled && !may_be_kept) return Span();
  context.span = shared_->NextSpanId();

  auto record = std::make_unique<SpanRecord>();
  record->id = context.span;
  if (parent != nullptr) record->parent = parent->span;
  record->is_parent_remote = parent != nullptr;
  record->kind = beginning.kind;
  record->name = beginning.name;
  record->label = Utf8Prefix(beginning.label, options.text_bytes_max);
  record->start = beginning.start.value_or(shared_->clock.Now());
  auto trace = std::make_shared<Recording>(shared_, std::move(context), beginning.is_long, beginning.slow_after);
  return Span(std::move(trace), std::move(record));
}

}  // namespace millrace::trace

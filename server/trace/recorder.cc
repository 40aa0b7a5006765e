#include "server/trace/recorder.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>
#include <vector>

#include "server/base/utf8.h"
#include "server/trace/names.h"

namespace millrace::trace {
namespace {

// Records of dropped spans that are used again. Most spans of a small share are dropped, and to allocate their memory
// would be most of their cost.
constexpr size_t kSparesMax = 1024;

}  // namespace

struct Recorder::Shared {
  const Clock& clock;
  Random random;
  SpanSink& sink;
  const RecorderOptions options;
  size_t buffered = 0;        // spans in all buffers
  size_t buffered_bytes = 0;  // bytes of these spans
  std::vector<std::unique_ptr<SpanRecord>> spares;

  SpanId NextSpanId() {
    SpanId id = random.Next();
    while (id == 0) id = random.Next();
    return id;
  }
  std::unique_ptr<SpanRecord> NewRecord() {
    std::unique_ptr<SpanRecord> record;
    if (spares.empty()) {
      record = std::make_unique<SpanRecord>();
    } else {
      record = std::move(spares.back());
      spares.pop_back();
    }
    record->id = NextSpanId();
    return record;
  }
  void Forget(std::unique_ptr<SpanRecord> record) {
    if (spares.size() >= kSparesMax) return;
    record->Clear();
    spares.push_back(std::move(record));
  }
  int64_t WallOffsetNanos() const { return clock.WallMicros() * 1000 - clock.Now().time_since_epoch().count(); }
};

// A trace from its beginning here until its last span has ended.
class Recorder::Recording final : public Trace {
 public:
  Recording(std::shared_ptr<Shared> shared, TraceContext context, bool is_long, Duration slow_after)
      : shared_(std::move(shared)), context_(std::move(context)), is_long_(is_long), slow_after_(slow_after) {}
  ~Recording() override { Clear(); }

  std::unique_ptr<SpanRecord> NewRecord() override { return shared_->NewRecord(); }
  void Forget(std::unique_ptr<SpanRecord> record) override { shared_->Forget(std::move(record)); }
  TimePoint Now() const override { return shared_->clock.Now(); }
  void Keep() override { is_kept_ = true; }
  TraceContext ContextOf(SpanId span) const override {
    TraceContext context = context_;
    context.span = span;
    return context;
  }
  size_t text_bytes_max() const override { return shared_->options.text_bytes_max; }
  bool records_content() const override { return shared_->options.records_content; }
  bool propagates() const override { return shared_->options.propagates; }

  void Take(std::unique_ptr<SpanRecord> ended) override {
    const bool is_root = ended->id == context_.span;
    if (is_long_ || has_ended_) {
      // A span that ends after its root follows the decision.
      if (is_long_ || is_kept_) return Export(std::move(ended));
      return Forget(std::move(ended));
    }
    if (!is_root) return Buffer(std::move(ended));
    has_ended_ = true;
    is_kept_ |=
        context_.sampled || ended->is_error || (slow_after_ > Duration(0) && ended->end - ended->start >= slow_after_);
    if (is_kept_) {
      ExportAll(std::move(ended));
    } else {
      Forget(std::move(ended));
    }
    Clear();
  }

 private:
  void Buffer(std::unique_ptr<SpanRecord> ended) {
    const size_t max = shared_->options.trace_spans_max;
    const size_t bytes = BytesOf(*ended);
    if (shared_->buffered_bytes + bytes > shared_->options.buffered_bytes_max) {
      ++dropped_;
      return;
    }
    if (buffer_.size() < max) {
      if (shared_->buffered >= shared_->options.buffered_spans_max) {
        ++dropped_;
        return;
      }
      AddBytes(bytes);
      if (buffer_.empty()) buffer_.reserve(std::min<size_t>(max, 8));
      ++shared_->buffered;
      buffer_.push_back(std::move(ended));
      return;
    }
    // The end of a long story says more than its middle: the second half is a ring.
    const size_t half = max / 2;
    std::swap(buffer_[half + replaced_++ % (max - half)], ended);
    ++dropped_;
    AddBytes(bytes - BytesOf(*ended));
    Forget(std::move(ended));
  }

  // A difference below 0 wraps around, as it is meant to.
  void AddBytes(size_t bytes) {
    bytes_ += bytes;
    shared_->buffered_bytes += bytes;
  }

  void Export(std::unique_ptr<SpanRecord> record) {
    EndedSpans spans = Ended();
    spans.spans.push_back(std::move(record));
    shared_->sink.Take(std::move(spans));
  }

  void ExportAll(std::unique_ptr<SpanRecord> root) {
    if (dropped_ > 0) {
      root->attributes.emplace_back(kSpansDropped, dropped_);
      shared_->sink.CountDropped(dropped_);
    }
    if (replaced_ > 0) {
      const size_t half = buffer_.size() / 2;
      const auto ring = buffer_.begin() + static_cast<std::ptrdiff_t>(half);
      std::rotate(ring, ring + static_cast<std::ptrdiff_t>(replaced_ % (buffer_.size() - half)), buffer_.end());
    }
    EndedSpans spans = Ended();
    spans.spans.reserve(1 + buffer_.size());
    spans.spans.push_back(std::move(root));
    std::move(buffer_.begin(), buffer_.end(), std::back_inserter(spans.spans));
    shared_->sink.Take(std::move(spans));
  }

  void Clear() {
    shared_->buffered -= buffer_.size();
    AddBytes(-bytes_);
    for (std::unique_ptr<SpanRecord>& record : buffer_) {
      if (record) Forget(std::move(record));
    }
    buffer_.clear();
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
  size_t replaced_ = 0;                              // spans in the ring that newer ones have replaced
  std::vector<std::unique_ptr<SpanRecord>> buffer_;  // ended spans, until the root ends
  size_t bytes_ = 0;                                 // of these
};

Recorder::Recorder(const Clock& clock, Random random, SpanSink& sink, RecorderOptions options)
    : shared_(new Shared{clock, std::move(random), sink, options, 0, 0, {}}) {}

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

  std::unique_ptr<SpanRecord> record = shared_->NewRecord();
  context.span = record->id;
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

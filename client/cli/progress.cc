#include "client/cli/progress.h"

#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "client/cli/kinds.h"
#include "client/cli/output.h"

namespace millrace::cli {
namespace {

// Time between two lines of progress in a log.
constexpr std::chrono::seconds kLogInterval(5);
// Largest width of a line of text.
constexpr size_t kTextColumns = 100;

int64_t Ended(const v1::StageProgress& stage) {
  return stage.ok() + stage.degraded() + stage.failed() + stage.skipped();
}

std::string StageLine(const v1::StageProgress& stage) {
  std::string line = fmt::format("{}: {}", Safe(stage.stage()), Count(Ended(stage)));
  const std::optional<StageShape> shape = ShapeOfKind(stage.kind());
  if (shape != StageShape::kFetch && shape != StageShape::kBarrier) {
    line += fmt::format(" of {}{}", Count(stage.items_in()), stage.input_closed() ? "" : "+");
  }
  if (stage.reused() > 0) line += fmt::format(", {} memoized", Count(stage.reused()));
  if (stage.failed() > 0) line += fmt::format(", {} failed", Count(stage.failed()));
  if (stage.degraded() > 0) line += fmt::format(", {} degraded", Count(stage.degraded()));
  if (stage.skipped() > 0) line += fmt::format(", {} skipped", Count(stage.skipped()));
  if (stage.parked() > 0) line += fmt::format(", {} parked", Count(stage.parked()));
  if (stage.attempts() > 0) line += fmt::format(", {} attempts", Count(stage.attempts()));
  return line;
}

// One decimal is enough for people; a stage that took 40 ms shows 0.0.
std::string Tenths(const google::protobuf::Duration& duration) {
  return fmt::format("{:.1f}", static_cast<double>(duration.seconds()) + duration.nanos() / 1e9);
}

std::string WaitingText(const v1::Run& run) {
  if (!run.has_waiting_on()) return "";
  return fmt::format(" waits on {}: {}", WaitText(run.waiting_on()), Safe(run.waiting_on().remedy(), 1024));
}

// "212 families of 7,483 titles and 20 places": the items that went into the store, named by the stage that made them.
std::string WhatWasMade(const v1::Run& run) {
  const v1::StageProgress* last = nullptr;
  const v1::StageProgress* maker = nullptr;
  for (const v1::StageProgress& stage : run.stages()) {
    if (ShapeOfKind(stage.kind()) == StageShape::kSink) continue;
    last = &stage;
    if (MakesNewItems(stage.kind())) maker = &stage;
  }
  if (last == nullptr || run.stages_size() == 0) return "nothing";
  const std::string made = Count(last->ok() + last->degraded());
  if (last == &run.stages(0)) return fmt::format("{} {}", made, Safe(last->stage()));
  std::vector<std::string> sources;
  for (const v1::StageProgress& stage : run.stages()) {
    if (ShapeOfKind(stage.kind()) != StageShape::kFetch) continue;
    sources.push_back(fmt::format("{} {}", Count(stage.items_in()), Safe(stage.stage())));
  }
  return fmt::format("{} {} of {}", made, Safe(maker != nullptr ? maker->stage() : last->stage()),
                     fmt::join(sources, " and "));
}

}  // namespace

void Progress::Show(const v1::Run& run) {
  if (terminal_) {
    Redraw(run);
    return;
  }
  const TimePoint now = clock_.Now();
  // Show a new reason to wait at once: the next event may be hours away.
  const std::string waits_on = run.has_waiting_on() ? WaitText(run.waiting_on()) : "";
  const bool is_new = !waits_on.empty() && waits_on != waits_on_;
  if (last_ && now - *last_ < kLogInterval && !is_new) return;
  last_ = now;
  if (is_new) waits_on_ = waits_on;
  std::string line = fmt::format("{} {}:", Safe(run.name()), StateName(run.state()));
  for (const v1::StageProgress& stage : run.stages()) {
    if (stage.items_in() > 0 && !stage.done()) line += fmt::format(" [{}]", StageLine(stage));
  }
  out_ << line << WaitingText(run) << "\n" << std::flush;
}

void Progress::StageDone(const v1::StageProgress& stage) {
  if (terminal_) return;
  out_ << fmt::format("  {} ({} s)\n", StageLine(stage), Seconds(stage.elapsed_time())) << std::flush;
}

void Progress::Say(const std::string& text) {
  Clear();
  out_ << text << "\n" << std::flush;
}

void Progress::Clear() {
  for (; lines_ > 0; --lines_) out_ << "\x1b[1A\x1b[2K";
  out_ << std::flush;
}

void Progress::Redraw(const v1::Run& run) {
  Clear();
  for (const v1::StageProgress& stage : run.stages()) {
    out_ << fmt::format("  {} {}\n", stage.done() ? "+" : stage.items_in() > 0 ? ">" : " ", StageLine(stage));
    ++lines_;
  }
  if (const std::string waiting = WaitingText(run); !waiting.empty()) {
    out_ << " " << waiting << "\n";
    ++lines_;
  }
  out_ << std::flush;
}

std::string MeasuresText(const v1::Run& run) {
  std::string text;
  size_t column = 0;
  for (const v1::MeasureValue& measure : run.measures()) {
    const std::string figure =
        fmt::format("{} {}", Safe(measure.name()), measure.has_value() ? Figure(measure.value()) : "-");
    const size_t width = DisplayWidth(figure) + 2;
    const bool wraps = column + width > kTextColumns;
    text += text.empty() ? "  " : wraps ? ",\n  " : ", ";
    column = text.size() == 2 || wraps ? width : column + width;
    text += figure;
  }
  return text.empty() ? text : text + "\n";
}

std::string LastLine(const v1::Run& run, const std::string& backends) {
  int64_t calls = 0;
  int64_t cached = 0;
  int64_t degraded = 0;
  int64_t failed = 0;
  int64_t computed = 0;
  int64_t reused = 0;
  int64_t cost = 0;
  int64_t unpriced = 0;
  int64_t maybe_billed = 0;
  std::string times;
  for (const v1::StageProgress& stage : run.stages()) {
    calls += stage.calls() - stage.cache_hits();
    cached += stage.cache_hits();
    degraded += stage.fallbacks();
    failed += stage.failed();
    const std::optional<StageShape> shape = ShapeOfKind(stage.kind());
    if (shape != StageShape::kFetch && shape != StageShape::kSink) {
      computed += stage.computed();
      reused += stage.reused();
    }
    cost += stage.cost_nano_usd();
    unpriced += stage.unpriced_attempts();
    maybe_billed += stage.maybe_billed();
    times += fmt::format("{}{} {}", times.empty() ? "" : ", ", Safe(stage.stage()), Tenths(stage.elapsed_time()));
  }
  std::string line = fmt::format("run {} done: {} in {} s ({}), {} calls{}, {}, {} degraded", Safe(run.name()),
                                 WhatWasMade(run), Tenths(run.active_time()), times, Count(calls),
                                 calls > 0 && !backends.empty() ? fmt::format(" ({})", Safe(backends)) : "",
                                 Cost(cost, unpriced), Count(degraded));
  if (failed > 0) line += fmt::format(", {} failed", Count(failed));
  std::string more;
  if (cached > 0) more += fmt::format("{} cached answers", Count(cached));
  if (maybe_billed > 0) more += fmt::format("{}{} maybe billed", more.empty() ? "" : ", ", Count(maybe_billed));
  // Items that only pass a stage, because of its `when`, are not results of it.
  if (reused > 0 && computed == 0 && calls == 0) {
    more += fmt::format("{}nothing was computed: every result was memoized", more.empty() ? "" : "; ");
  }
  return more.empty() ? line : line + "\n  " + more;
}

}  // namespace millrace::cli

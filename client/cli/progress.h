// The progress of a run, live on a terminal and as lines in a log, and the line that ends it.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "millrace/v1/run.pb.h"
#include "server/base/clock.h"

namespace millrace::cli {

// Draws a run: on a terminal a line for each stage, drawn anew each time; in a log a line every few seconds, and one
// for each stage that has ended.
class Progress {
 public:
  enum class Kind { kTerminal, kLog };
  Progress(std::ostream& out, Kind kind, const Clock& clock)
      : out_(out), terminal_(kind == Kind::kTerminal), clock_(clock) {}

  void Show(const v1::Run& run);
  void StageDone(const v1::StageProgress& stage);
  void Say(const std::string& text);
  // Takes the drawing away.
  void Clear();

 private:
  void Redraw(const v1::Run& run);

  std::ostream& out_;
  const bool terminal_;
  const Clock& clock_;
  int lines_ = 0;
  std::optional<TimePoint> last_;
  std::string waits_on_;  // what a line in a log told last
};

// The measures of a run, `  purity 0.857, families 1,234`: as many on a line as a terminal takes; empty where there are
// none.
std::string MeasuresText(const v1::Run& run);

// `run r-… done: 212 families of 7,483 titles in 3.2 s (…)`, and on a second line what was remembered. `backends`: who
// answered, where it can be said.
std::string LastLine(const v1::Run& run, const std::string& backends);

}  // namespace millrace::cli

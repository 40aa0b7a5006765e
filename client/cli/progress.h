// Progress of a run, drawn live on a terminal or written as lines to a log, and the summary that ends it.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "millrace/v1/run.pb.h"
#include "server/base/clock.h"

namespace millrace::cli {

// Shows a run's progress: on a terminal, one line per stage that is redrawn; in a log, a line every 5 seconds and one
// for each stage that has ended.
class Progress {
 public:
  enum class Kind { kTerminal, kLog };
  Progress(std::ostream& out, Kind kind, const Clock& clock)
      : out_(out), terminal_(kind == Kind::kTerminal), clock_(clock) {}

  void Show(const v1::Run& run);
  void StageDone(const v1::StageProgress& stage);
  void Say(const std::string& text);
  // Removes the drawing from the terminal.
  void Clear();

 private:
  void Redraw(const v1::Run& run);

  std::ostream& out_;
  const bool terminal_;
  const Clock& clock_;
  int lines_ = 0;
  std::optional<TimePoint> last_;
  std::string waits_on_;  // the newest reason to wait in the log
};

// Returns the measures of a run, `  purity 0.857, families 1,234`, wrapped at 100 columns. Empty if there are none.
std::string MeasuresText(const v1::Run& run);

// Returns `run r-… done: 212 families of 7,483 titles in 3.2 s (…)`, and a second line about cached answers. `backends`
// names the backend that answered; empty if there are several.
std::string LastLine(const v1::Run& run, const std::string& backends);

}  // namespace millrace::cli
